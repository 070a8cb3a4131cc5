"""What those without the token do not see of an answer.

Owns: what people wrote and their names are left out, author ids become pseudonyms where a key is set, and
rows that tell of few authors are left out: a group of three is three people. Pure.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa

PRIVATE = frozenset({"text", "username", "spelling", "name", "description", "location"})
LEAST_AUTHORS = 5


class Withheld:
    """The public part of an answer, and how many rows were left out of it."""

    def __init__(self, pseudonym: Callable[[str], str]) -> None:
        self._pseudonym = pseudonym
        self.small_groups = 0

    def of(self, data: Any) -> Any:
        """The data without what is not shown; tables become lists."""
        if isinstance(data, pa.Table):
            data = data.to_pylist()
        if isinstance(data, list):
            shown = [row for row in data if not is_small(row)]
            self.small_groups += len(data) - len(shown)
            return [self.of(row) for row in shown]
        if isinstance(data, dict):
            return {name: self._value(name, value) for name, value in data.items()}
        return data

    def _value(self, name: str, value: Any) -> Any:
        if name in PRIVATE:
            return None
        if name == "author_id" and isinstance(value, str):
            return self._pseudonym(value)
        return self.of(value)


def is_small(row: Any) -> bool:
    """Whether a row tells of a few authors: some, but fewer than `LEAST_AUTHORS`."""
    return isinstance(row, dict) and 0 < (row.get("authors") or 0) < LEAST_AUTHORS
