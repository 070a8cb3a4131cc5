"""X API v1.1: statuses (compact and extended), pages of search and premium search, stream notices.

Owns the envelope of this dialect. Files of the years 2011 to 2023 hold it: the Internet Archive's samples,
twarc 1, DMI-TCAT.
"""

from __future__ import annotations

from typing import Any

import msgspec

from bemtevi.listen.dialects.x_v2 import event_at
from bemtevi.listen.envelope import Envelope

NAME = "x_v1"
NETWORK = "x"

NOTICES: dict[str, type] = {
    "limit": dict,
    "disconnect": dict,
    "warning": dict,
    "scrub_geo": dict,
    "status_withheld": dict,
    "friends": list,
    "target": dict,
}
"""The fields by which a notice is known, and their type. An event is known by its `target`."""


class Status(msgspec.Struct):
    """A status, a page of statuses or a notice."""

    id: Any = None
    id_str: str | None = None
    created_at: Any = None
    text: Any = None
    full_text: Any = None
    user: Any = None
    statuses: list[Status] | None = None
    results: list[Status] | None = None
    delete: Any = None
    limit: Any = None
    disconnect: Any = None
    warning: Any = None
    scrub_geo: Any = None
    status_withheld: Any = None
    user_withheld: Any = None
    user_delete: Any = None
    user_undelete: Any = None
    user_suspend: Any = None
    user_unsuspend: Any = None
    user_protect: Any = None
    user_unprotect: Any = None
    friends: Any = None
    target: Any = None


ACCOUNT = (
    *("user_delete", "user_undelete", "user_suspend", "user_unsuspend"),
    *("user_protect", "user_unprotect", "user_withheld"),
)
"""The fields by which a notice about an account is known."""

_decode = msgspec.json.Decoder(Status).decode


def read(payload: bytes) -> Envelope | None:
    """The envelope of a v1.1 message, or None."""
    line = _decode(payload)
    key = _key(line)
    if key is not None:
        return Envelope(NAME, NETWORK, "post", key, "1", event_at(key), posts=(key,))
    page = line.statuses if line.statuses is not None else line.results
    if page is not None:
        posts = tuple(key for key in map(_key, page) if key is not None)
        return Envelope(NAME, NETWORK, "page" if posts or not page else "unknown", posts=posts)
    if isinstance(line.delete, dict):
        status = line.delete.get("status")
        gone = status.get("id_str") or status.get("id") if isinstance(status, dict) else None
        return Envelope(NAME, NETWORK, "delete", str(gone) if isinstance(gone, str | int) else None)
    if any(isinstance(getattr(line, notice), dict) for notice in ACCOUNT):
        return Envelope(NAME, NETWORK, "account")
    if any(isinstance(getattr(line, notice), kind) for notice, kind in NOTICES.items()):
        return Envelope(NAME, NETWORK, "system")
    return None


def _key(status: Status) -> str | None:
    """The id, if this is a status of v1.1: it has a text and the user inside."""
    if (status.text is None and status.full_text is None) or not isinstance(status.user, dict):
        return None
    if status.id_str is not None:
        return status.id_str
    return str(status.id) if type(status.id) is int else None
