"""`bemtevi` with the long waits of its schedule compressed, so that a soak of minutes sees what takes hours.

Owns the factors. The code that waits is the real one; a limit that is not there by that name fails loudly.
"""

from __future__ import annotations

import sys
from datetime import timedelta

from bemtevi.cli import main
from bemtevi.listen import follow, ledger, schedule, writer

SHORTER: tuple[tuple[object, str, object], ...] = (
    (schedule, "WINDOW_SECONDS", 60.0),
    (schedule, "AT_ONCE_CONNECTS", 25),
    (follow, "CHECK_SECONDS", 3.0),
    (follow, "RULES_RETRY_SECONDS", 2.0),
    (follow, "SETTLE", timedelta(seconds=0.5)),
    (ledger, "RETRY_SECONDS", 2.0),
    (writer, "RETRY_SECONDS", (0.5, 1.0, 2.0)),
)


if __name__ == "__main__":
    for module, name, value in SHORTER:
        if not hasattr(module, name):
            raise SystemExit(f"{module} has no {name} any more: mend tests/soak/listen.py")
        setattr(module, name, value)
    main(sys.argv[1:])
