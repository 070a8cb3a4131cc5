"""What can go wrong with a simulated X, by name.

Owns: the kinds of fault with their parameters, and reading a script of them from YAML, flags or JSON with one
sentence for what is wrong. When a fault fires is the business of `script`; what it does, of the part of the
server where it has its place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import Any

import yaml

from bemtevi.errors import UsageError

Value = int | float | str


class Place(StrEnum):
    """Where a fault does its work."""

    ANSWER = "instead of an answer"
    STREAM = "in a stream that stands"
    CUT = "in the next line of a stream"
    CHUNK = "in the bytes of a stream"
    LINE = "in the lines of a stream"
    WORLD = "behind the client's back"


@dataclass(frozen=True)
class Parameter:
    """A value that a fault takes. Its type is that of the default."""

    default: Value
    least: float | None = None
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Kind:
    """One kind of fault, in words for a person."""

    place: Place
    words: str
    parameters: Mapping[str, Parameter] = field(default_factory=dict)


DISCONNECTS = (
    "OperationalDisconnect",
    "UpstreamOperationalDisconnect",
    "ForceDisconnect",
    "UpstreamUncleanDisconnect",
    "SlowReader",
    "InternalError",
    "ClientApplicationStateDegraded",
    "InvalidRules",
)
"""Every `disconnect_type` of X's OpenAPI description 2.166."""

ENDS = ("close", "abrupt", "reset")
OF = ("stream", "rules", "search", "counts", "usage", "connections", "compliance", "all")

_OF = {"of": Parameter("stream", choices=OF)}
_SECONDS = Parameter(5.0, least=0)

KINDS: dict[str, Kind] = {
    # instead of an answer
    "unauthorized": Kind(Place.ANSWER, "401: the token is wrong", _OF),
    "forbidden": Kind(
        Place.ANSWER,
        "403: the app may not do this",
        {
            **_OF,
            "reason": Parameter(
                "client-not-enrolled", choices=("client-not-enrolled", "official-client-forbidden")
            ),
        },
    ),
    "no-rules": Kind(Place.ANSWER, "409: there are no rules, X says", {}),
    "rate-limit": Kind(
        Place.ANSWER, "429 until x-rate-limit-reset, `seconds` from the first", {**_OF, "seconds": _SECONDS}
    ),
    "usage-cap": Kind(
        Place.ANSWER,
        "429: the posts that were paid for are used up",
        {
            **_OF,
            "period": Parameter("Monthly", choices=("Daily", "Monthly")),
            "scope": Parameter("Product", choices=("Account", "Product")),
        },
    ),
    "no-credits": Kind(Place.ANSWER, "402: nothing is left of what was paid for", _OF),
    "redirect": Kind(Place.ANSWER, "302: a portal asks to come to it first", _OF),
    "too-many-connections": Kind(Place.ANSWER, "429: another connection stands, X says", {}),
    "not-provisioned": Kind(Place.ANSWER, "503: ProvisioningSubscription", {}),
    "unavailable": Kind(
        Place.ANSWER, "a server error without a body of X's", {**_OF, "status": Parameter(503, least=500)}
    ),
    "html": Kind(Place.ANSWER, "a proxy's page in HTML", {**_OF, "status": Parameter(200, least=200)}),
    "mute": Kind(Place.ANSWER, "the request is taken and not answered", {**_OF, "seconds": _SECONDS}),
    "hang-up": Kind(Place.ANSWER, "the request is taken and the connection closed", _OF),
    "half-answer": Kind(Place.ANSWER, "the connection ends within the headers", _OF),
    # a stream that stands
    "close": Kind(Place.STREAM, "the stream ends cleanly"),
    "abrupt": Kind(Place.STREAM, "the connection is closed without the end of the answer"),
    "reset": Kind(Place.STREAM, "the connection is reset"),
    "operational-disconnect": Kind(
        Place.STREAM,
        "a message that says why, then a clean end",
        {"type": Parameter("UpstreamOperationalDisconnect", choices=DISCONNECTS)},
    ),
    "stall": Kind(Place.STREAM, "silence, without posts and keep-alives", {"seconds": _SECONDS}),
    "trickle": Kind(
        Place.STREAM, "very slow", {"seconds": _SECONDS, "bytes_a_second": Parameter(2_000, least=1)}
    ),
    "cut": Kind(
        Place.CUT,
        "a line is cut after `at` bytes (0: by chance), then the end",
        {"at": Parameter(0, least=0), "end": Parameter("close", choices=ENDS)},
    ),
    # bytes
    "split-line-ends": Kind(Place.CHUNK, "CR and LF of every line come apart"),
    "shred": Kind(Place.CHUNK, "pieces of at most `bytes` bytes", {"bytes": Parameter(40, least=1)}),
    # lines
    "duplicate": Kind(Place.LINE, "the post comes twice"),
    "reorder": Kind(Place.LINE, "the post comes after the one that follows"),
    "no-tag": Kind(Place.LINE, "matching_rules without tags"),
    "no-matching-rules": Kind(Place.LINE, "no matching_rules"),
    "numeric-rule-ids": Kind(Place.LINE, "rule ids are numbers"),
    "unknown-fields": Kind(Place.LINE, "fields that nobody knows, at every level"),
    "few-fields": Kind(Place.LINE, "id and text alone"),
    "many-fields": Kind(Place.LINE, "every field of the post, asked for or not"),
    "null-fields": Kind(Place.LINE, "null where objects and lists are expected"),
    "new-names": Kind(Place.LINE, "the names of X's description 2.167"),
    "partial-errors": Kind(Place.LINE, "errors beside the data"),
    "odd-characters": Kind(Place.LINE, "a lone surrogate and U+0000 in the text, escaped"),
    "invalid-utf8": Kind(Place.LINE, "bytes in the text that are no UTF-8"),
    "large": Kind(Place.LINE, "a post of `bytes` bytes", {"bytes": Parameter(65_536, least=1)}),
    "unknown-message": Kind(Place.LINE, "a message of a new type before the post"),
    "delete-notice": Kind(Place.LINE, "a notice of a deletion before the post"),
    "malformed": Kind(Place.LINE, "a line before the post that is no JSON"),
    "deep": Kind(
        Place.LINE, "a line before the post, nested `levels` deep", {"levels": Parameter(5_000, least=1)}
    ),
    "system-message": Kind(Place.LINE, "errors without data before the post, and no disconnect"),
    "keep-alives": Kind(Place.LINE, "a burst of keep-alives before the post"),
    # behind the client's back
    "rules-deleted": Kind(
        Place.WORLD, "another program deletes a rule, or all", {"value": Parameter("")}
    ),
    "rules-added": Kind(
        Place.WORLD,
        "another program adds a rule",
        {"value": Parameter("#musica"), "tag": Parameter("another program")},
    ),
    "stale-connection": Kind(
        Place.WORLD,
        "a connection that nobody reads counts, until it is deleted",
        {"seconds": Parameter(60.0, least=0)},
    ),
    "away": Kind(Place.WORLD, "nobody listens at the port", {"seconds": _SECONDS}),
}  # fmt: skip

TRIGGERS: dict[str, Parameter] = {
    "after_seconds": Parameter(0.0, least=0),
    "after_posts": Parameter(0, least=0),
    "after_connects": Parameter(0, least=0),
    "times": Parameter(1, least=0),
    "apart": Parameter(0, least=0),
}
"""When a fault fires: when all of the three have passed since it was given; `times` times (0: without end),
with at least `apart` delivered posts between."""


@dataclass(frozen=True)
class Fault:
    """One fault of a script, checked."""

    kind: str
    after_seconds: float = 0.0
    after_posts: int = 0
    after_connects: int = 0
    times: int = 1
    apart: int = 0
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def place(self) -> Place:
        return KINDS[self.kind].place

    def __getitem__(self, name: str) -> Any:
        """The value of a parameter, given or not."""
        return self.parameters.get(name, KINDS[self.kind].parameters[name].default)

    def about(self, path: str) -> bool:
        """Is it for requests of that kind?"""
        of = self["of"] if "of" in KINDS[self.kind].parameters else "stream"
        return of in (path, "all")


def fault_of(entry: Any, where: str = "the fault") -> Fault:
    """A fault from a mapping (`fault`, triggers, parameters). Raises UsageError with one sentence."""
    if not isinstance(entry, Mapping) or not isinstance(entry.get("fault"), str):
        raise UsageError(f"In {where}: a fault is a mapping with the name `fault`, as in `fault: close`.")
    name = entry["fault"]
    kind = KINDS.get(name)
    if kind is None:
        raise UsageError(f"In {where}: there is no fault {name!r}{_near(name, KINDS)}.")
    triggers: dict[str, Any] = {}
    parameters: dict[str, Any] = {}
    for key, value in entry.items():
        if key == "fault":
            continue
        known = TRIGGERS.get(key) or kind.parameters.get(key)
        if known is None:
            allowed = {**kind.parameters, **TRIGGERS}
            raise UsageError(f"In {where}: the fault {name!r} takes no {key!r}{_near(str(key), allowed)}.")
        into = triggers if key in TRIGGERS else parameters
        into[key] = _checked(value, known, f"In {where}: {key!r} of the fault {name!r}")
    return Fault(name, **triggers, parameters=parameters)


def fault_of_flag(text: str) -> Fault:
    """A fault from a flag: `close`, `cut:after_posts=500,at=10`. Raises UsageError."""
    name, _, rest = text.partition(":")
    entry: dict[str, Any] = {"fault": name.strip()}
    for pair in filter(None, (part.strip() for part in rest.split(","))):
        key, equals, value = pair.partition("=")
        if not equals:
            raise UsageError(f"In the flag --fault {text}: write {pair!r} as name=value.")
        entry[key.strip()] = value.strip()
    return fault_of(entry, f"the flag --fault {text}")


def read_faults(path: Path) -> tuple[Fault, ...]:
    """The faults of a YAML file: a list of mappings, or that list under `faults`. Raises UsageError."""
    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"The fault script {path} cannot be read: {error.strerror or error}.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f" (line {mark.line + 1})" if mark is not None else ""
        raise UsageError(f"The fault script {path} is no YAML{line}.") from None
    entries = value.get("faults") if isinstance(value, Mapping) else value
    if not isinstance(entries, list):
        raise UsageError(f"The fault script {path} is no list of faults, such as `- fault: close`.")
    return tuple(
        fault_of(entry, f"the fault script {path}, entry {number}") for number, entry in enumerate(entries, 1)
    )


def _checked(value: Any, parameter: Parameter, where: str) -> Value:
    kind = type(parameter.default)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise UsageError(f"{where} is {value!r}: {_expected(parameter)} is expected.")
    try:
        checked: Value = kind(value)
    except ValueError:
        raise UsageError(f"{where} is {value!r}: {_expected(parameter)} is expected.") from None
    if kind is int and isinstance(value, float) and checked != value:
        raise UsageError(f"{where} is {value!r}: {_expected(parameter)} is expected.")
    if parameter.choices and checked not in parameter.choices:
        raise UsageError(f"{where} is {value!r}: {_expected(parameter)} is expected.")
    if parameter.least is not None and not float(checked) >= parameter.least:  # also not for nan
        raise UsageError(f"{where} is {value!r}: {_expected(parameter)} is expected.")
    return checked


def _expected(parameter: Parameter) -> str:
    if parameter.choices:
        return f"one of {', '.join(parameter.choices)}"
    words = {int: "a whole number", float: "a number", str: "a text"}[type(parameter.default)]
    return words if parameter.least is None else f"{words} of at least {parameter.least:g}"


def _near(name: str, names: Mapping[str, Any]) -> str:
    found = get_close_matches(name, names, 1)
    return f" ({found[0]!r} is)" if found else f" (there are: {', '.join(names)})"
