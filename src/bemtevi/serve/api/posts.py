"""`/api/v1/posts`: search in posts, in pages or as a random sample, and its exports."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from bemtevi.serve.api.answering import Work
from bemtevi.serve.api.guard import problem
from bemtevi.serve.api.parameters import Answers, Filters, Form
from bemtevi.serve.ask import posts
from bemtevi.warehouse.hashtag import fold

router = APIRouter(prefix="/api/v1", tags=["posts"])
MOST_SHOWN = 100
MOST_EXPORTED = 100_000


@router.get("/posts")
async def search(
    request: Request,
    answers: Answers,
    filters: Filters,
    q: Annotated[
        str, Query(max_length=300, description='Words that stand in the text; "two words" together.')
    ] = "",
    tag: Annotated[str | None, Query(max_length=300, description="Only posts with this hashtag.")] = None,
    after: Annotated[str | None, Query(max_length=200, description="`meta.next` of the page before.")] = None,
    sample: Annotated[
        int | None, Query(ge=0, description="Seed of a random sample, instead of the newest.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=MOST_EXPORTED)] = 20,
    form: Form = "json",
) -> Response:
    """Posts, newest first. Ids without the token; words are searched only with it."""
    if q.strip() and not request.state.full:
        return problem(401, "Searching in texts needs the token", "Send it as `Authorization: Bearer …`.")
    selection = filters.selection(fold(tag) if tag else None)
    most = min(limit, MOST_SHOWN if form == "json" else MOST_EXPORTED)

    def make(work: Work) -> Any:
        rows = work.rows(posts.search(selection, q, most + 1, after, sample))
        work.meta |= {"limit": most, "more": len(rows) > most, "next": None}
        rows = rows[:most]
        if work.meta["more"] and sample is None:
            work.meta["next"] = posts.cursor(rows[-1]["created_at"], rows[-1]["post_id"])
        if form == "json" and after is None:
            work.meta["posts"] = work.rows(posts.count(selection, q))[0]["posts"]
        return rows

    return await answers.answer(request, make, selection=selection, form=form, name="posts")
