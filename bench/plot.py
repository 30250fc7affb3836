"""
The plot of docs/performance.md: ``python -m bench.plot RESULTS PLOT``.

Runs in the peers' environment, which has matplotlib.
"""

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt

from bench.contestants import ALL, EXPRESS, KEYTURN
from bench.findings import Findings, NotMeasuredError
from bench.throughput import NEW, ONE, THOUSAND

# Read on white and on black alike.
_INK = "#7d8590"
_COLORS = {ONE: "#2f81f7", THOUSAND: "#a371f7", NEW: "#d29922"}
_BAR = 0.26


def draw(found: Findings, path: Path) -> None:
    """Draw requests a second, relative to Express with one token, as PNG and SVG."""
    here = [each.name for each in ALL if _is_there(found, each.name)]
    unit = EXPRESS.name if EXPRESS.name in here else here[0]
    base = found.rate(unit, ONE)
    here.sort(key=lambda name: found.rate(name, ONE))
    mpl.rcParams.update({"font.family": "sans-serif", "font.size": 10, "svg.hashsalt": "keyturn"})
    figure, axes = plt.subplots(figsize=(8, 0.62 * len(here) + 1.2))
    for shift, (case, color) in enumerate(_COLORS.items()):
        for place, name in enumerate(here):
            if not _is_there(found, name, case):
                continue
            value = found.rate(name, case) / base
            at = place + (1 - shift) * _BAR
            axes.barh(at, value, _BAR * 0.92, color=color, label=case if name == here[0] else None)
            axes.text(value + 0.06, at, f"{value:.1f}", va="center", color=_INK, fontsize=8)
    _dress(axes, here, unit)
    for kind in ("png", "svg"):
        figure.savefig(
            path.with_suffix(f".{kind}"),
            transparent=True,
            bbox_inches="tight",
            dpi=150,
            metadata={"Date": None} if kind == "svg" else {"Software": None},
        )


def _is_there(found: Findings, name: str, case: str = ONE) -> bool:
    try:
        return found.rate(name, case) > 0
    except NotMeasuredError:
        return False


def _dress(axes: Any, names: list[str], unit: str) -> None:
    axes.set_yticks(range(len(names)), names, color=_INK)
    for label in axes.get_yticklabels():
        label.set_fontweight("bold" if label.get_text() == KEYTURN.name else "normal")
    axes.set_title(
        f"Requests a second on one core; {unit}, one token = 1", color=_INK, fontsize=10, loc="left"
    )
    axes.tick_params(length=0)
    axes.set_xticks([])
    axes.spines[:].set_visible(False)
    axes.legend(frameon=False, labelcolor=_INK, loc="lower right")


if __name__ == "__main__":
    draw(Findings(json.loads(Path(sys.argv[1]).read_bytes())), Path(sys.argv[2]))
