"""bemtevi: a hashtag warehouse. It listens to hashtags, keeps every post, and answers questions."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"


def connect(lake: str | None = None, **settings: Any) -> Any:
    """The tables of a lake for a notebook, a `bemtevi.serve.connection.Connection`: see there."""
    # by name: every part imports this package, and only who asks for a connection waits for its libraries
    return import_module("bemtevi.serve.connection").connect(lake, **settings)
