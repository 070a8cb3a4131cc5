"""What faults make of a line of the stream.

Owns: bytes in, bytes out, for each fault that changes a line or puts one before it. Pure: when and how often
is decided elsewhere. A line is a whole message with its CR LF.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from bemtevi.simulate.faults import Fault
from bemtevi.simulate.problems import PROBLEMS
from bemtevi.simulate.spelling import respell

LINE_END = b"\r\n"
_TEXT = b'"text":"'


def changed(line: bytes, fault: Fault, whole: Callable[[], dict[str, Any]]) -> bytes:
    """The line as the fault leaves it; the same for one that puts a line before. `whole` is the message with
    every field."""
    change = _CHANGES.get(fault.kind)
    if fault.kind == "invalid-utf8":
        return line.replace(_TEXT, _TEXT + b"\xff\xc3(\xed\xa0\x80 ", 1)
    if fault.kind == "odd-characters":
        return line.replace(_TEXT, _TEXT + rb"\ud83d \u0000 \udc00", 1)
    if fault.kind == "many-fields":
        return _line(whole() | {"matching_rules": msgspec.json.decode(line).get("matching_rules", [])})
    if fault.kind == "large":
        return _large(msgspec.json.decode(line), fault["bytes"])
    return line if change is None else _line(change(msgspec.json.decode(line)))


def before(fault: Fault, name: str, now: str) -> bytes | None:
    """What the fault sends before the line, carrying the name; None if it sends nothing of its own."""
    match fault.kind:
        case "unknown-message":
            return _line({"heartbeat": {"node": name, "at": now}, "version": 3})
        case "delete-notice":
            gone = {"id": "1", "tweet": {"id": "1", "author_id": "2"}, "event_at": now, "note": name}
            return _line({"delete": gone})
        case "malformed":
            return b'{"data":{"id":"1","text":"' + name.encode() + b"\r\n"
        case "deep":
            levels: int = fault["levels"]
            return b'{"' + name.encode() + b'":' + b"[" * levels + b"]" * levels + b"}\r\n"
        case "system-message":
            kind = PROBLEMS + "something-new"
            return _line({"errors": [{"title": name, "detail": "Something is not as it was.", "type": kind}]})
        case _:
            return None


def disconnect(kind: str, name: str) -> bytes:
    """The message before a disconnect of that type. Source: X's OpenAPI description 2.166."""
    error = {
        "title": "operational-disconnect",
        "disconnect_type": kind,
        "detail": "This stream has been disconnected for operational reasons.",
        "type": PROBLEMS + "operational-disconnect",
        "value": name,
    }
    if kind == "UpstreamOperationalDisconnect":
        error["detail"] = "This stream has been disconnected upstream for operational reasons."
    return _line({"errors": [error]})


def _no_tag(message: dict[str, Any]) -> dict[str, Any]:
    rules = [{"id": rule["id"]} for rule in message.get("matching_rules", ())]
    return message | {"matching_rules": rules}


def _no_matching_rules(message: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in message.items() if key != "matching_rules"}


def _numeric_rule_ids(message: dict[str, Any]) -> dict[str, Any]:
    return message | {
        "matching_rules": [rule | {"id": int(rule["id"])} for rule in message.get("matching_rules", ())]
    }


def _unknown_fields(message: dict[str, Any]) -> dict[str, Any]:
    new: dict[str, Any] = {"grok": {"kind": [1, 2.5e300, None, True]}, "": "", "é": "🦜"}
    rules = [rule | new for rule in message.get("matching_rules", ())]
    return {**new, **message, "data": {**new, **message["data"]}, "matching_rules": rules}


def _few_fields(message: dict[str, Any]) -> dict[str, Any]:
    few = {key: message["data"][key] for key in ("id", "text") if key in message["data"]}
    kept = {"data": few}
    return kept | {key: message[key] for key in ("matching_rules",) if key in message}


def _null_fields(message: dict[str, Any]) -> dict[str, Any]:
    names = ("entities", "attachments", "geo", "public_metrics", "referenced_tweets", "lang", "author_id")
    return message | {"data": message["data"] | dict.fromkeys(names), "includes": None, "errors": None}


def _partial_errors(message: dict[str, Any]) -> dict[str, Any]:
    error = {
        "resource_type": "tweet",
        "resource_id": "1",
        "parameter": "referenced_tweets.id",
        "value": "1",
        "title": "Not Found Error",
        "detail": "Could not find tweet with referenced_tweets.id: [1].",
        "type": PROBLEMS + "resource-not-found",
    }
    return message | {"errors": [error]}


def _large(message: dict[str, Any], size: int) -> bytes:
    line = _line(message)
    missing = max(0, size - len(line))
    words = "palavra " * (missing // 8 + 1)
    data = message["data"] | {"text": message["data"]["text"] + " " + words[: max(0, missing - 1)]}
    return _line(message | {"data": data})


def _line(message: dict[str, Any]) -> bytes:
    return msgspec.json.encode(message) + LINE_END


_CHANGES: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "no-tag": _no_tag,
    "no-matching-rules": _no_matching_rules,
    "numeric-rule-ids": _numeric_rule_ids,
    "unknown-fields": _unknown_fields,
    "few-fields": _few_fields,
    "null-fields": _null_fields,
    "new-names": respell,
    "partial-errors": _partial_errors,
}
