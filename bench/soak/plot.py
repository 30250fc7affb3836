"""
The plot of docs/operations.md: ``python -m bench.soak.plot RESULTS PLOT``.

Runs in the peers' environment, which has matplotlib.
"""

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt

from bench.soak.memory import WARM_UP

# Read on white and on black alike.
_INK = "#7d8590"
_WORKER, _SUPERVISOR, _TREND = "#2f81f7", "#a371f7", "#d29922"
_ROWS = ("rotation", "issuer", "reload", "worker killed", "nobody reads")
_MIB = 1 << 20


def draw(found: dict[str, Any], path: Path) -> None:
    """Draw the memory, and below it when there was what trouble."""
    mpl.rcParams.update({"font.family": "sans-serif", "font.size": 10, "svg.hashsalt": "keyturn"})
    figure, (above, below) = plt.subplots(
        2, 1, figsize=(8, 4.6), sharex=True, height_ratios=(3, 1.3), layout="constrained"
    )
    _draw_memory(above, found)
    for at, what in found["done"]:
        row = next((place for place, name in enumerate(_ROWS) if what.startswith(name)), None)
        if row is not None and what != "issuer healed":
            below.plot(at / 60, row, "|", color=_INK, markersize=8)
    below.set_yticks(range(len(_ROWS)), _ROWS, color=_INK)
    below.set_ylim(len(_ROWS) - 0.5, -0.5)
    below.set_xlabel("minutes", color=_INK)
    for axes in (above, below):
        axes.tick_params(length=0, labelcolor=_INK)
        axes.spines[:].set_visible(False)
    for kind in ("png", "svg"):
        metadata = {"Date": None} if kind == "svg" else {"Software": None}
        target = path.with_suffix(f".{kind}")
        figure.savefig(target, transparent=True, dpi=150, metadata=metadata)


def _draw_memory(axes: Any, found: dict[str, Any]) -> None:
    minutes = [at / 60 for at, _, _ in found["memory"]]
    worker = [size / _MIB for _, size, _ in found["memory"]]
    axes.plot(minutes, worker, color=_WORKER, label="the worker that is left alone")
    supervisor = [size / _MIB for _, _, size in found["memory"]]
    axes.plot(minutes, supervisor, color=_SUPERVISOR, label="the supervisor")
    warm = [(at, size) for at, size in zip(minutes, worker, strict=True) if at >= WARM_UP / 60]
    if warm:
        middle = sum(at for at, _ in warm) / len(warm)
        mean = sum(size for _, size in warm) / len(warm)
        line = [mean + found["slope"] / 60 * (at - middle) for at, _ in warm]
        label = f"{found['slope']:+.1f} MiB an hour"
        axes.plot([at for at, _ in warm], line, "--", color=_TREND, label=label)
    axes.set_ylim(bottom=0)
    axes.set_title("Resident memory, MiB", color=_INK, fontsize=10, loc="left")
    axes.legend(frameon=False, labelcolor=_INK, loc="lower right")


if __name__ == "__main__":
    draw(json.loads(Path(sys.argv[1]).read_bytes()), Path(sys.argv[2]))
