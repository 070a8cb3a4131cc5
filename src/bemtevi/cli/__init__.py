"""The commands. Thin: each reads its flags, calls the part that does the work, and shows the result."""

from __future__ import annotations

import os
import sys
from importlib.abc import MetaPathFinder


def main(arguments: list[str] | None = None) -> None:
    """Run a command and leave with its exit code; Ctrl-C is heard from the first instant."""
    arguments = sys.argv[1:] if arguments is None else arguments
    set_memory(arguments)
    try:
        from bemtevi.cli.app import main as work
    except KeyboardInterrupt:
        sys.stderr.write("bemtevi: Interrupted before anything was begun.\n")
        sys.exit(130)
    work(arguments)


def set_memory(arguments: list[str]) -> None:
    """What the libraries read when they are loaded, for a command.

    A listener must stay small for months, and many threads of it use Arrow for a moment: jemalloc keeps less
    for each of them than Arrow's usual pool, and gives back in 10 ms what is free. Other commands end soon.
    """
    listens = not {"listen", "run"}.isdisjoint(arguments)
    if "listen" in arguments:
        sys.meta_path.insert(0, WithoutPandas())
    if listens and sys.platform == "linux":  # elsewhere Arrow may come without it
        os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "jemalloc")
        os.environ.setdefault("JE_ARROW_MALLOC_CONF", "dirty_decay_ms:10,muzzy_decay_ms:0,narenas:2")
    os.environ.setdefault("MIMALLOC_PURGE_DELAY", "10" if listens else "1000")
    os.environ.setdefault("MIMALLOC_ABANDONED_PAGE_PURGE", "1")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # nothing here is linear algebra


class WithoutPandas(MetaPathFinder):
    """Arrow takes pandas in wherever it is installed, 50 MiB: a listener has no use for it."""

    def find_spec(self, fullname: str, *_: object) -> None:
        """Raises ImportError for pandas, and knows nothing else."""
        if fullname == "pandas":
            raise ModuleNotFoundError("a listener does without pandas", name=fullname)
