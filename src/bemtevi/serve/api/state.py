"""`/api/v1/status`, `/gaps`, `/runs`, `/quarantine`, `/catalog`: what the machine does and what it has."""

from __future__ import annotations

from datetime import UTC
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from bemtevi import __version__
from bemtevi.serve.api.answering import Work
from bemtevi.serve.api.parameters import Answers, Filters, Form, Limit
from bemtevi.serve.ask.selection import Question
from bemtevi.serve.ask.steps import lanes
from bemtevi.serve.coverage import named, plain_gap
from bemtevi.serve.questions import Period
from bemtevi.warehouse.model import load_models

router = APIRouter(prefix="/api/v1", tags=["state"])

RUNS = """
select number, kind, started_at, finished_at, engine, messages, observations,
  posts_after - posts_before as new_posts,
  quarantined, hours, raw_version
from run
order by number desc
limit $limit
"""
QUARANTINE = """
select stage, reason, dialect, source, count(*) as messages, max(received_at) as last_at
from quarantine
group by all
order by messages desc, reason
limit $limit
"""


@router.get("/status")
async def status(request: Request, answers: Answers) -> Response:
    """What is followed, how many posts there are, how fresh they are, and what was heard today."""

    def make(work: Work) -> Any:
        run = work.snapshot.catalog.run
        now = work.now
        rules = [rule for rule in work.rules if rule.removed_at is None]
        (total,) = work.rows(
            Question(
                "select count(*) as posts, max(created_at) as newest_at, "
                "max(last_received_at) as received_at, "
                "count(*) filter (created_at >= cast($now as timestamptz) - interval 5 minute) / 5 "
                "as per_minute, "
                "count(*) filter (created_at >= date_trunc('day', cast($now as timestamptz))) as today "
                "from fact_post",
                {"now": now},
            )
        )
        day = work.rows(Question("select date_trunc('day', cast($now as timestamptz)) as at", {"now": now}))[
            0
        ]["at"]
        heard = work.heard(None, None, Period(day.astimezone(UTC), now))
        networks = []
        for network in sorted({rule.network for rule in rules}):
            open_ = [gap for gap in work.gaps if gap.network == network and gap.ended_at is None]
            whole = [gap for gap in open_ if not gap.rules]
            networks.append(
                {
                    "network": network,
                    "rules": sum(rule.network == network for rule in rules),
                    "open_gaps": [plain_gap(gap) for gap in open_],
                    "deaf_since": min((gap.started_at for gap in whole), default=None),
                    "listened_today": heard.share(network, day, now),
                }
            )
        return {
            "version": __version__,
            **total,
            "run": None if run is None else {"number": run.number, "finished_at": run.finished_at},
            "networks": networks,
            "followed": [
                {
                    "network": rule.network,
                    "rule": rule.value,
                    "since": rule.added_at,
                    "hashtags": sorted(named(rule)),
                }
                for rule in rules
            ],
            "empty": work.snapshot.catalog.empty,
            "full": work.full,
            "token_needed": answers.access.token is not None,
        }

    return await answers.answer(request, make, kept=False)


@router.get("/gaps")
async def gaps(request: Request, answers: Answers, filters: Filters, form: Form = "json") -> Response:
    """The gaps that touch the period, and for each network when it was listened to."""
    selection = filters.selection()

    def make(work: Work) -> Any:
        heard = work.heard(None, selection.network, selection.period)
        rows = [plain_gap(gap) for gap in reversed(heard.gaps)]
        if form != "json":
            return [{**row, "missing_kinds": ", ".join(row["missing_kinds"])} for row in rows]
        return {"rows": rows, "lanes": lanes(heard)}

    return await answers.answer(request, make, selection=selection, form=form, name="gaps")


@router.get("/runs")
async def runs(request: Request, answers: Answers, limit: Limit = 50, form: Form = "json") -> Response:
    """The runs, newest first: what each read and changed."""
    question = Question(RUNS, {"limit": limit + 1})
    return await answers.answer(request, lambda work: work.first(question, limit), form=form, name="runs")


@router.get("/quarantine")
async def quarantine(request: Request, answers: Answers, limit: Limit = 50, form: Form = "json") -> Response:
    """Messages that could not be read, counted by reason; without their text."""
    question = Question(QUARANTINE, {"limit": limit + 1})
    return await answers.answer(
        request, lambda work: work.first(question, limit), form=form, name="quarantine"
    )


@router.get("/catalog")
async def catalog(request: Request, answers: Answers) -> Response:
    """The tables that SQL may ask: grain, columns, types, descriptions, and an example of each."""

    def make(work: Work) -> Any:
        described = {
            model.name: (
                model.definition.grain,
                {column.name: column.description for column in model.definition.columns}
                | {column.name: column.description for column in model.definition.derived},
            )
            for model in load_models()
        }
        rows = work.rows(
            Question(
                'select table_name as "table", column_name as "column", data_type as type '
                "from information_schema.columns where table_schema = 'main' "
                "order by table_name, ordinal_position",
                {},
            )
        )
        tables: dict[str, dict[str, Any]] = {}
        for row in rows:
            grain, columns = described.get(row["table"].removesuffix("_plain"), ("", {}))
            table = tables.setdefault(
                row["table"],
                {"table": row["table"], "grain": grain, "columns": [], "example": _example(row["table"])},
            )
            table["columns"].append(
                {"column": row["column"], "type": row["type"], "description": columns.get(row["column"], "")}
            )
        return list(tables.values())

    return await answers.answer(request, make)


def _example(table: str) -> str:
    order = {"run": "number", "fact_post": "created_at", "agg_hashtag_hour": "posts"}.get(table)
    return f"select *\nfrom {table}{f'{chr(10)}order by {order} desc' if order else ''}\nlimit 20"
