"""`POST /api/v1/sql`: one SELECT of the person's own, inside bounds."""

from __future__ import annotations

import time
from typing import Annotated, Any, Literal

import pyarrow as pa
from fastapi import APIRouter, Body, Request
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from bemtevi.errors import UsageError
from bemtevi.serve import sandbox
from bemtevi.serve.api.answering import MEDIA, Work, as_bytes
from bemtevi.serve.api.guard import problem
from bemtevi.serve.api.parameters import Answers
from bemtevi.serve.catalog import TooLongError, TooMuchError
from bemtevi.serve.memory_bound import bounded

router = APIRouter(prefix="/api/v1", tags=["sql"])
MOST_SHOWN = 1_000
MOST_EXPORTED = 1_000_000
MOST_BYTES = 128 * 1024 * 1024
MOST_GROWTH_BYTES = 640 * 1024 * 1024


class Statement(BaseModel):
    """What is asked."""

    sql: str = Field(max_length=sandbox.MOST_LETTERS, description="One SELECT in DuckDB's SQL.")
    format: Literal["json", "csv", "jsonl", "parquet", "arrow"] = "json"
    limit: int = Field(MOST_SHOWN, ge=1, le=MOST_EXPORTED, description="Most rows; 1,000 as JSON.")


EXAMPLE = {
    "tags": {
        "summary": "The hashtags of most posts",
        "value": {
            "sql": "select hashtag, sum(posts) as posts from agg_hashtag_hour "
            "group by 1 order by 2 desc limit 10"
        },
    }
}


@router.post("/sql")
async def sql(
    request: Request, answers: Answers, statement: Annotated[Statement, Body(openapi_examples=EXAMPLE)]
) -> Response:
    """The answer to one SELECT: no file, no network, no setting; bounded in time, rows, bytes and memory."""
    if not request.state.full:
        return problem(401, "SQL needs the token", "Send it as `Authorization: Bearer …`.")
    await run_in_threadpool(sandbox.check, statement.sql)
    most = min(statement.limit, MOST_SHOWN) if statement.format == "json" else statement.limit

    def make(work: Work) -> Any:
        began = time.perf_counter()
        try:
            with bounded(MOST_GROWTH_BYTES, work.cursor.interrupt):
                rows = work.catalog.stream(statement.sql, None, work.cursor)
                table, more = _first(rows, most)
        except TooLongError as error:  # it is the question that is wrong, not the server
            return problem(422, "The question takes too long or too much memory", str(error))
        except TooMuchError:
            return problem(422, "The question needs too much memory", "Ask for less.")
        seconds = round(time.perf_counter() - began, 4)
        if statement.format != "json":
            return Response(
                as_bytes(table, statement.format),
                media_type=MEDIA[statement.format],
                headers={"x-more-rows": str(more).lower()},
            )
        work.meta |= {
            "limit": most,
            "more": more,
            "seconds": seconds,
            "columns": [{"column": field.name, "type": str(field.type)} for field in table.schema],
        }
        return table

    return await answers.answer(request, make, closed=True, kept=False)


def _first(rows: pa.RecordBatchReader, most: int) -> tuple[pa.Table, bool]:
    """The first rows, and whether there are more. Raises UsageError for too many bytes."""
    batches: list[pa.RecordBatch] = []
    number = size = 0
    for batch in rows:
        batches.append(batch)
        number += batch.num_rows
        size += batch.nbytes
        if size > MOST_BYTES:
            raise UsageError(f"The answer is larger than {MOST_BYTES // 2**20} MiB: ask for less.")
        if number > most:
            break
    return pa.Table.from_batches(batches, rows.schema).slice(0, most), number > most
