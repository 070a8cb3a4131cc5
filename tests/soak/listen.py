"""`bemtevi` with the long waits of its schedule compressed, so that a soak of minutes sees what takes hours.

Owns the factors. The code that waits is the real one; a limit that is not there by that name fails loudly.
"""

from __future__ import annotations

import importlib
import sys
from datetime import timedelta

from bemtevi.cli import main, set_memory

SHORTER: tuple[tuple[str, str, object], ...] = (
    ("bemtevi.listen.schedule", "WINDOW_SECONDS", 60.0),
    ("bemtevi.listen.schedule", "AT_ONCE_CONNECTS", 25),
    ("bemtevi.listen.follow", "CHECK_SECONDS", 3.0),
    ("bemtevi.listen.follow", "RULES_RETRY_SECONDS", 2.0),
    ("bemtevi.listen.follow", "SETTLE", timedelta(seconds=0.5)),
    ("bemtevi.listen.ledger", "RETRY_SECONDS", 2.0),
    ("bemtevi.listen.fill", "LOOK_SECONDS", 1.0),
    ("bemtevi.listen.fill", "RETRY_SECONDS", 2.0),
    ("bemtevi.listen.x_patience", "RETRY_SECONDS", 0.5),
    ("bemtevi.listen.writer", "RETRY_SECONDS", (0.5, 1.0, 2.0)),
)


if __name__ == "__main__":
    set_memory(sys.argv[1:])
    for name, constant, value in SHORTER:
        module = importlib.import_module(name)
        if not hasattr(module, constant):
            raise SystemExit(f"{name} has no {constant} any more: mend tests/soak/listen.py")
        setattr(module, constant, value)
    main(sys.argv[1:])
