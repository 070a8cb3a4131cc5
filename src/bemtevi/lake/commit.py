"""What every commit of ours carries: which process made it, and a name of its own.

So that a run can tell that nobody else wrote (`warehouse.run`), and a commit whose answer was lost can be
found again: the store refuses its repetition, since it is there already. Leaves their making to `table`.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from deltalake import CommitProperties, Transaction

WRITER = "bemtevi.writer"
NAME = "bemtevi.commit"


def this_process() -> str:
    """The name under which this process commits."""
    return _process(os.getpid())


@cache
def _process(number: int) -> str:
    return f"{number}-{uuid.uuid4()}"


def stamped(*transactions: Transaction) -> CommitProperties:
    """The properties of one commit, with its transactions."""
    return CommitProperties(
        custom_metadata={WRITER: this_process(), NAME: str(uuid.uuid4())},
        app_transactions=[*transactions] or None,
    )


def writer_of(actions: Iterable[Mapping[str, Any]]) -> str | None:
    """Which process made an entry of the log; None if it does not say."""
    told = [action["commitInfo"] for action in actions if "commitInfo" in action]
    return str(told[0].get(WRITER)) if told else None


def is_of(properties: CommitProperties, actions: Iterable[Mapping[str, Any]]) -> bool:
    """Whether an entry of the log is the commit with these properties."""
    name = (properties.custom_metadata or {})[NAME]
    return any(action.get("commitInfo", {}).get(NAME) == name for action in actions)
