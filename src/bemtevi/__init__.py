"""bemtevi: a hashtag warehouse. It listens to hashtags, keeps every post, and answers questions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bemtevi.serve.connection import Connection

__version__ = "0.1.0"


def connect(lake: str | None = None, **settings: Any) -> Connection:
    """The tables of a lake, for a notebook: see `bemtevi.serve.connection`."""
    from bemtevi.serve import connection  # only who asks for it waits for its libraries

    return connection.connect(lake, **settings)
