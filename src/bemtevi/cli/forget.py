"""The command that deletes on request: forget."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Annotated

import typer

from bemtevi.cli.app import app, lake_of, out
from bemtevi.errors import UsageError
from bemtevi.lake.tombstone import Subject, Tombstones
from bemtevi.serve.terminal import number
from bemtevi.warehouse.forget import Request, Touched

X = "x"


@app.command()
def forget(
    context: typer.Context,
    post: Annotated[str | None, typer.Option(help="Id of the post to forget.")] = None,
    author: Annotated[str | None, typer.Option(help="Id of the author to forget, with all posts.")] = None,
    network: Annotated[str | None, typer.Option(help="Network to forget, with all that is from it.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it touches, and do nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Take it back, while it is not erased.")] = False,
) -> None:
    """Forget a post, an author or a network: gone from every answer, then from every file."""
    request = request_of(post, author, network)
    settings, lake = lake_of(context)
    tombstones = Tombstones(lake)
    now = datetime.now(UTC)
    what = name_of(request)
    if undo:
        if dry_run:
            raise UsageError("Give one of --undo and --dry-run.")
        whole = request.undo(tombstones, now)
        rest = (
            "it is back in every table after the next `bemtevi consolidate`."
            if whole
            else "what was erased since does not come back; what is delivered from now on is kept."
        )
        _say(f"{what} is no longer forgotten: {rest}")
        return
    _say(f"{what}: {touched_in_words(request.touched(lake))}")
    if dry_run:
        _say("Nothing was changed (--dry-run).")
        return
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError("Nothing was forgotten: say that you mean it with --yes.")
        if not typer.confirm("Forget it?"):
            _say("Nothing was changed.")
            return
    request.forget(tombstones, now)
    hours = settings.erase_hours
    _say(
        "Forgotten. The next `bemtevi consolidate` takes it out of every table; `bemtevi maintain` erases "
        f"the bytes within {number(hours)} hours, and --undo takes it back until then."
    )


def request_of(post: str | None, author: str | None, network: str | None) -> Request:
    """The one thing that is to be forgotten. Raises UsageError."""
    given = {Subject.POST: post, Subject.AUTHOR: author, Subject.NETWORK: network}
    chosen = [(subject, id_) for subject, id_ in given.items() if id_ is not None]
    if len(chosen) != 1:
        raise UsageError("Give one of --post ID, --author ID and --network NAME.")
    subject, id_ = chosen[0]
    if subject is Subject.NETWORK:
        if id_ != X:
            raise UsageError(f"There is no network '{id_}': {X} is.")
        return Request(X, subject, X)
    if not (id_.isascii() and id_.isdigit()):
        raise UsageError(f"'{id_}' is no id of X: it is a number; see author_id and post_id of fact_post.")
    return Request(X, subject, id_)


def name_of(request: Request) -> str:
    """The subject as a person names it."""
    if request.subject is Subject.NETWORK:
        return f"All of {request.network}"
    return f"{request.subject.capitalize()} {request.id} of {request.network}"


def touched_in_words(touched: Touched) -> str:
    """What would go and what would change, in one sentence."""
    return (
        f"{number(touched.posts)} posts go, {number(touched.reposts)} reposts of them too; "
        f"{number(touched.quotes)} posts that quote them stay, and no longer name them; "
        f"{number(touched.hours)} hours are counted again."
    )


def _say(line: str) -> None:
    out().print(line, markup=False, soft_wrap=True)
