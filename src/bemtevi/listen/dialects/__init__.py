"""The dialects that we read, one module each, found by scanning this package.

Owns the choice of dialect by content. A new dialect is one module here and one staging file.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import cast

import msgspec

from bemtevi.listen.envelope import Dialect, Envelope, UnreadableError


def scan() -> list[Dialect]:
    """Every dialect of the package, in the order of their names."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return [cast(Dialect, importlib.import_module(f"{__name__}.{name}")) for name in names]


class EnvelopeReader:
    """Reads envelopes, trying first the dialect that fitted last: files and streams keep to one."""

    def __init__(self, dialects: list[Dialect] | None = None) -> None:
        self._dialects = list(dialects or scan())

    def read(self, payload: bytes) -> Envelope:
        """The envelope of a message.

        A JSON object that no dialect knows gets kind "unknown", so that it is kept for a later reader.
        Raises UnreadableError for bytes that are not one JSON object.
        """
        last = self._dialects[0]
        unknown: Envelope | None = None
        for dialect in self._dialects:
            try:
                envelope = dialect.read(payload)
            except msgspec.ValidationError:
                continue  # JSON, but in another shape
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                raise UnreadableError(_reason(error)) from None
            if envelope is None:
                continue
            if envelope.kind == "unknown":  # its outside only; another may know it whole
                unknown = unknown or envelope
                continue
            if dialect is not last:
                self._dialects.remove(dialect)
                self._dialects.insert(0, dialect)
            return envelope
        if unknown is not None:
            return unknown
        try:
            value = msgspec.json.decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise UnreadableError(_reason(error)) from None
        if not isinstance(value, dict):
            raise UnreadableError(f"JSON, but {type(value).__name__} where an object was expected")
        return Envelope(last.NAME, last.NETWORK, "unknown")


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8 at byte {error.start}"
    if isinstance(error, RecursionError):
        return "JSON nested too deeply"
    return f"not JSON: {error}"
