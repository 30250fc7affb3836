"""Where a run was made: processor, interpreter and its build, versions of all who took part."""

import json
import os
import platform
import shutil
import subprocess
import sysconfig
from datetime import UTC, datetime
from importlib.metadata import distributions, version
from pathlib import Path
from typing import Any

from bench.contestants import NODE_MODULES, PEER_ENV

_OURS = ("aiohttp", "uvloop", "orjson", "joserfc", "cryptography")
_PYTHON_PEERS = ("fastapi", "uvicorn", "pyjwt", "flask", "authlib", "gunicorn")
_NODE_PEERS = (
    *("express", "express-oauth2-jwt-bearer", "fastify", "fastify-jwt-jwks", "fast-jwt"),
    *("get-jwks", "pino"),
)


def describe() -> dict[str, Any]:
    """Tell all that a reader must know to believe a figure."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "build": _build(),
        "versions": {name: version(name) for name in _OURS} | _python_peers() | _node_peers(),
        "wrk": _wrk_version(),
    }


def _build() -> str:
    if sysconfig.get_config_var("prefix") == "/usr":
        # A distribution's: its arguments do not tell of what its rules add.
        return f"as {platform.freedesktop_os_release()['PRETTY_NAME']} builds it"
    return build_of(sysconfig.get_config_var("CONFIG_ARGS") or "")


def build_of(config_args: str) -> str:
    """Say how the interpreter was compiled: PGO and LTO are worth a fifth and more."""
    pgo = "--enable-optimizations" in config_args
    lto = "--with-lto" in config_args
    return f"{'with' if pgo else 'without'} PGO, {'with' if lto else 'without'} LTO"


def cpu_model() -> str:
    """Give the processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _python_peers() -> dict[str, str]:
    packages = str(next(iter(PEER_ENV.glob("lib/python*/site-packages")), PEER_ENV))
    found = {each.name.lower(): each.version for each in distributions(path=[packages])}
    return {name: found[name] for name in _PYTHON_PEERS if name in found}


def _node_peers() -> dict[str, str]:
    node = shutil.which("node")
    if node is None or not NODE_MODULES.exists():
        return {}
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=True)
    return {"node": said.stdout.strip().removeprefix("v")} | {
        name: str(json.loads(package.read_bytes())["version"])
        for name in _NODE_PEERS
        if (package := NODE_MODULES / name / "package.json").exists()
    }


def _wrk_version() -> str:
    wrk = shutil.which("wrk")
    if wrk is None:
        return "none"
    said = subprocess.run([wrk, "-v"], capture_output=True, text=True, check=False)
    return said.stdout.split(" [")[0].removeprefix("wrk ").strip()
