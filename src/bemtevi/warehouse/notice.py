"""What a network's notices of deletion say: bytes of a message in, tombstones out.

Owns the reading of the notices that X sends or has sent: those of v1.1 streams and archives, and those of the
compliance streams of v2. Pure. Leaves to `lake.tombstone` how they are kept, to `hiding` what they do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec

from bemtevi.lake.tombstone import Action, Origin, Subject, Tombstone

KINDS = ("delete", "account", "system", "unknown")
"""Messages of `raw` that may be such a notice; older versions kept some of them as unknown."""

ACCOUNT: dict[str, tuple[Action, str]] = {
    "user_delete": (Action.DELETE, "deactivated"),
    "user_undelete": (Action.RESTORE, "reactivated"),
    "user_suspend": (Action.DELETE, "suspended"),
    "user_unsuspend": (Action.RESTORE, "unsuspended"),
    "user_protect": (Action.DELETE, "protected"),
    "user_unprotect": (Action.RESTORE, "unprotected"),
    "user_withheld": (Action.DELETE, "withheld"),
}
POST: dict[str, tuple[Action, str]] = {
    "delete": (Action.DELETE, "deleted"),
    "status_withheld": (Action.DELETE, "withheld"),
    "withheld": (Action.DELETE, "withheld"),
    "drop": (Action.DELETE, "dropped"),
    "undrop": (Action.RESTORE, "undropped"),
}
PLACE = "scrub_geo"
NAMES = frozenset({*ACCOUNT, *POST, PLACE})


def read_notice(network: str, payload: bytes, noted_at: datetime) -> Iterator[Tombstone]:
    """What a message says is deleted or comes back; nothing if it is no such notice."""
    try:
        message = msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    if not isinstance(message, dict):
        return
    inner = message.get("data")
    outer = inner if isinstance(inner, dict) and not NAMES.isdisjoint(inner) else message
    for name in NAMES & outer.keys():
        body = outer[name]
        if isinstance(body, dict):
            yield from _told(network, name, body, message, noted_at)


def _told(
    network: str, name: str, body: dict[str, Any], message: dict[str, Any], noted_at: datetime
) -> Iterator[Tombstone]:
    event_at = _moment(body.get("event_at"), body.get("timestamp_ms") or message.get("timestamp_ms"))
    if name == PLACE:
        author = _id(body.get("user") or {}) or _number(body.get("user_id_str") or body.get("user_id"))
        last = body.get("up_to_status_id_str") or body.get("up_to_status_id") or body.get("up_to_tweet_id")
        make = _maker(network, Subject.AUTHOR, author, noted_at, event_at)
        yield from make(Action.SCRUB_GEO, PLACE, _number(last or body.get("up_to_post_id")))
        return
    if name in ACCOUNT:
        action, reason = ACCOUNT[name]
        author = _id(body.get("user") or {}) or _id(body)
        yield from _maker(network, Subject.AUTHOR, author, noted_at, event_at)(action, reason, None)
        return
    action, reason = POST[name]
    post = next((body[key] for key in ("status", "tweet", "post") if isinstance(body.get(key), dict)), body)
    yield from _maker(network, Subject.POST, _id(post), noted_at, event_at)(action, reason, None)


Maker = Callable[[Action, str, str | None], Iterator[Tombstone]]


def _maker(
    network: str, subject: Subject, id_: str | None, noted_at: datetime, event_at: datetime | None
) -> Maker:
    """What makes the tombstone of a subject, or nothing without an id."""

    def make(action: Action, reason: str, up_to: str | None) -> Iterator[Tombstone]:
        if id_ is not None:
            yield Tombstone(
                network, subject, id_, action, Origin.NOTICE, noted_at, reason, up_to=up_to, event_at=event_at
            )

    return make


def _id(thing: Any) -> str | None:
    return _number(thing.get("id_str") or thing.get("id")) if isinstance(thing, dict) else None


def _number(value: Any) -> str | None:
    """An id as X writes it: digits, as text or as a number."""
    text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    return text if text.isascii() and text.isdigit() else None


def _moment(text: Any, milliseconds: Any) -> datetime | None:
    """A time of either form; None if there is none that can be read."""
    try:
        if isinstance(text, str):
            moment = datetime.fromisoformat(text)
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        if milliseconds is not None:
            return datetime.fromtimestamp(int(milliseconds) / 1000, UTC)
    except (ValueError, TypeError, OverflowError, OSError):
        return None
    return None
