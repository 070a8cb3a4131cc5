"""The command compliance: what X says today of all that is stored."""

from __future__ import annotations

from typing import Annotated

import typer

from bemtevi.cli.app import app, lake_of, only_warnings, out, told
from bemtevi.cli.collect import stop_on_signal, token_of
from bemtevi.errors import UsageError
from bemtevi.lake.lake import acquire
from bemtevi.lake.layout import JournalLayout
from bemtevi.lake.tombstone import Subject
from bemtevi.listen.compliance import KINDS, ComplianceCheck
from bemtevi.listen.x import X
from bemtevi.listen.x_compliance import XCompliance
from bemtevi.listen.x_patience import Patience, StoppedError
from bemtevi.serve.terminal import number, plain
from bemtevi.warehouse.compliance import StoredIds

LOCK = "compliance"
LOCKED_FOR = "asking X about what is stored"
ONLY = {"posts": ("tweets",), "authors": ("users",)}
NAMES = {Subject.POST: "posts", Subject.AUTHOR: "authors"}


@app.command()
def compliance(
    context: typer.Context,
    only: Annotated[str | None, typer.Option(help="Ask about posts or authors alone.")] = None,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Wait for X, or leave: the same command goes on later.")
    ] = True,
) -> None:
    """Ask X what became of every post and author that is stored.

    What is deleted, suspended or protected, or has lost its place, is hidden at the next consolidation; who
    is no longer suspended comes back.

    Interrupted or killed, the same command goes on. X may take hours. It reads no posts, so it costs none.
    """
    if only is not None and only not in ONLY:
        raise UsageError(f"--only is posts or authors, not '{only}'.")
    only_warnings(context)
    settings, lake = lake_of(context)
    token = token_of(settings)
    stored = StoredIds(lake)
    path = JournalLayout(settings.journal, X.name).compliance
    with stop_on_signal() as stop, acquire(lake.lock(LOCK), LOCKED_FOR):
        x = XCompliance(Patience(token, settings.x_api_url, stop))
        check = ComplianceCheck(path, x, stored, lambda words: told().print(words, soft_wrap=True))
        try:
            done = check.run(ONLY[only] if only else KINDS, wait=wait)
        except StoppedError:
            told().print("Stopped. The same command goes on from there.", soft_wrap=True)
            return
    out().print(_summary(stored), markup=False, soft_wrap=True)
    if not done:
        out().print("X is not done: the same command fetches its answer later.", soft_wrap=True)
    elif stored.found or stored.back:
        out().print("The next `bemtevi consolidate` obeys it.", soft_wrap=True)


def _summary(stored: StoredIds) -> str:
    """What X said, in one sentence."""
    said = [
        f"{number(count)} {NAMES[subject]} {plain(reason)}"
        for (subject, reason), count in sorted(stored.found.items())
    ]
    said += [f"{number(count)} {NAMES[subject]} back" for subject, count in stored.back.items() if count]
    return f"X says: {', '.join(said) or 'nothing against what is stored'}."
