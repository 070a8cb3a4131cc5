"""`python -m benchmarks [NAME …]`: measure, print JSON lines, and keep them in `benchmarks/results/`."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.cases import CASES
from benchmarks.data import default_cache
from benchmarks.machine import HERE, machine, revision, versions
from benchmarks.sizes import Sizes


def main() -> None:
    """Measure the cases that are named, or all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(CASES)}; all if none")
    parser.add_argument("--posts", type=int, help="posts of each case, instead of its usual number")
    parser.add_argument("--seconds", type=float, default=60, help="how long to listen (60)")
    parser.add_argument("--repeat", type=int, default=1, help="measure each case so many times")
    parser.add_argument("--cache", type=Path, default=default_cache(), help="folder of invented posts")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in CASES]
    if unknown:
        parser.error(f"no case {', '.join(unknown)}: there are {', '.join(CASES)}")
    sizes = Sizes(arguments.cache, arguments.posts, arguments.seconds)
    results = HERE / "results"
    results.mkdir(exist_ok=True)
    started = datetime.now(UTC)
    for name in [*(arguments.names or CASES)] * arguments.repeat:
        print(f"{name}: {(CASES[name].__doc__ or '').strip()}", file=sys.stderr)
        about = machine()  # before the case makes the machine busy
        with tempfile.TemporaryDirectory(prefix="bemtevi-benchmark-") as folder:
            figures = CASES[name](Path(folder), sizes)
        line = json.dumps(
            {
                "name": name,
                "at": datetime.now(UTC).isoformat(timespec="seconds"),
                **figures,
                "machine": about,
                "versions": versions(),
                "revision": revision(),
            }
        )
        print(line, flush=True)
        with (results / f"{started:%Y-%m-%d}.jsonl").open("a", encoding="utf-8") as file:
            file.write(line + "\n")


if __name__ == "__main__":
    main()
