"""Folders for what an engine spills to disk when its memory is full.

Owns their names and their end: one is removed by whoever made it, and those of processes that were killed by
the next to make one. Leaves to the engines when to spill.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

PREFIX = "bemtevi-spill-"


def make_spill_folder() -> str:
    """A new folder; those that killed processes left are removed first."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        owner = folder.name.removeprefix(PREFIX).split("-")[0]
        if owner.isdigit() and not _is_running(int(owner)):
            remove_spill_folder(str(folder))
    return tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-")


def remove_spill_folder(folder: str) -> None:
    """Remove a folder and what is in it, as far as that is possible."""
    shutil.rmtree(folder, ignore_errors=True)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
