"""The commands. Thin: each reads its flags, calls the part that does the work, and shows the result."""

from __future__ import annotations

import sys


def main(arguments: list[str] | None = None) -> None:
    """Run a command and leave with its exit code; Ctrl-C is heard from the first instant."""
    try:
        from bemtevi.cli.app import main as work
    except KeyboardInterrupt:
        sys.stderr.write("bemtevi: Interrupted before anything was begun.\n")
        sys.exit(130)
    work(arguments)
