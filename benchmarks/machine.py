"""What a figure is worth without: the machine, the versions, the revision, and how busy the machine was."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

import psutil

LIBRARIES = ("deltalake", "duckdb", "msgspec", "numpy", "pyarrow", "requests", "tweepy", "urllib3", "uvloop")
HERE = Path(__file__).resolve().parent


def machine() -> dict[str, object]:
    """The machine and what runs on it."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": f"{platform.system()} {platform.release()}",
        "load": round(os.getloadavg()[0], 2),
    }


def versions() -> dict[str, str]:
    """Python and the libraries that do the work."""
    return {"python": platform.python_version()} | {
        name: importlib.metadata.version(name) for name in ("bemtevi", *LIBRARIES)
    }


def revision() -> str:
    """The commit that is measured; with a plus if files differ from it."""
    try:
        commit = _git("rev-parse", "--short", "HEAD")
        return commit + ("+" if _git("status", "--porcelain", "--", ":/src") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*arguments: str) -> str:
    told = subprocess.run(["git", *arguments], cwd=HERE, check=True, capture_output=True, text=True)
    return told.stdout.strip()


def _cpu() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
