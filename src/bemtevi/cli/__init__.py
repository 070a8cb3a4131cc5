"""The commands. Thin: each reads its flags, calls the part that does the work, and shows the result."""

from __future__ import annotations

import os
import sys


def main(arguments: list[str] | None = None) -> None:
    """Run a command and leave with its exit code; Ctrl-C is heard from the first instant."""
    # read when Arrow is loaded: what it frees goes back in 10 ms, so that a listener stays small for months;
    # at once would cost a tenth of a core at full speed, since the next row group takes the same pages
    os.environ.setdefault("MIMALLOC_PURGE_DELAY", "10")
    os.environ.setdefault("MIMALLOC_ABANDONED_PAGE_PURGE", "1")
    try:
        from bemtevi.cli.app import main as work
    except KeyboardInterrupt:
        sys.stderr.write("bemtevi: Interrupted before anything was begun.\n")
        sys.exit(130)
    work(arguments)
