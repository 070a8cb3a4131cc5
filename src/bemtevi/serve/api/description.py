"""The OpenAPI description: what FastAPI knows of the routes, and what it cannot know of their answers.

Owns the envelope of answers, the forms of files, the problems, and an example of the data of each address.
Pure. Leaves parameters to the routes.
"""

from __future__ import annotations

from typing import Any

from bemtevi.serve.api.answering import MEDIA

PROBLEMS = {
    "400": "The request cannot be read",
    "401": "The token is needed",
    "404": "There is no such address",
    "413": "The request is too large",
    "421": "This host name is not answered",
    "422": "The question cannot be answered",
    "503": "Not now: too many questions, or the tables are not open yet; see `Retry-After`",
    "504": "The question took too long",
}
PROBLEM = {
    "type": "object",
    "description": "RFC 9457.",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string", "description": "What is wrong."},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What is wrong here, for a person."},
    },
}
ANSWER = {
    "type": "object",
    "required": ["data", "meta"],
    "properties": {
        "data": {"description": "A list of objects, or one."},
        "meta": {
            "type": "object",
            "required": ["snapshot", "now", "timezone"],
            "properties": {
                "snapshot": {"type": "string", "description": "The version of all tables that answered."},
                "as_of": {"type": ["string", "null"], "format": "date-time"},
                "behind": {"type": "boolean", "description": "Whether newer posts wait for the next run."},
                "now": {"type": "string", "format": "date-time"},
                "timezone": {"type": "string"},
                "since": {"type": "string", "format": "date-time"},
                "until": {"type": "string", "format": "date-time"},
                "hashtag": {"type": ["string", "null"]},
                "completeness": {"type": "object", "description": "What of the period was heard."},
                "sql": {"type": "string", "description": "The query, with its values."},
                "limit": {"type": "integer"},
                "more": {"type": "boolean"},
            },
        },
    },
}
META = {
    "snapshot": "412-9-3",
    "as_of": "2026-11-23T20:47:19Z",
    "behind": False,
    "now": "2026-11-23T20:47:20Z",
    "timezone": "America/Sao_Paulo",
}
AT = "2026-11-23T17:00:00-03:00"
COUNTED = {
    "posts": 1131,
    "authors": 223,
    "originals": 590,
    "replies": 85,
    "quotes": 109,
    "reposts": 347,
    "first_at": "2026-11-16T17:01:44-03:00",
    "last_at": "2026-11-23T17:46:16-03:00",
    "received_at": "2026-11-23T17:46:18-03:00",
}
WRITTEN = {"network": "x", "post_id": "2125244460961890304", "author_id": "22157220", "created_at": AT}
SHOWN = {
    "likes": 3,
    "reposts": 22,
    "sensitive": False,
    "username": "somebody",
    "text": "Vacina hoje #covid19",
}
TAG = "/api/v1/hashtags/{tag}/"
GAP: dict[str, Any] = {
    "id": "9256bca151ed165f2a12031d0bae99c0",
    "network": "x",
    "source": None,
    "path": "stream",
    "started_at": "2026-11-19T04:00:00Z",
    "ended_at": "2026-11-19T10:00:00Z",
    "cause": "disconnected",
    "state": "ended",
    "detail": "",
    "filled_by": None,
    "filled_posts": None,
    "expected_posts": None,
    "missing_kinds": [],
    "rules": 0,
}
EXAMPLES: dict[str, Any] = {
    f"{TAG}summary": COUNTED
    | {
        "estimated_posts": 1131,
        "audience": [{"network": "x", "authors": 223, "least": 105460, "most": 206191}],
        "per_minute": 0.2,
        "usual_per_minute": 0.15,
        "known": {"since": "2026-11-16T20:01:44Z", "until": "2026-11-23T20:46:16Z"},
        "before": {
            "since": "2026-11-09T20:48:00Z",
            "until": "2026-11-16T20:48:00Z",
            "posts": 958,
            "authors": 190,
            "share": 0.98,
            "comparable": True,
        },
    },
    f"{TAG}timeline": {
        "granularity": "hour",
        "at": ["2026-11-23T15:00:00-03:00", "2026-11-23T16:00:00-03:00", AT],
        "series": {"x": [12, None, 7]},
        "listened": {"x": [1.0, 0.0, 1.0]},
        "partial": [2],
    },
    f"{TAG}authors": [
        {
            "network": "x",
            "author_id": "22157220",
            "username": "somebody",
            "posts": 22,
            "reposts": 3,
            "followers": 329,
        }
    ],
    f"{TAG}languages": [{"language": "pt", "posts": 452, "authors": 85}],
    f"{TAG}apps": [{"client": "Twitter for Android", "posts": 444, "authors": 95}],
    f"{TAG}types": [{"type": "original", "posts": 590, "authors": 119}],
    f"{TAG}domains": [{"domain": "example.org", "posts": 31, "authors": 12}],
    f"{TAG}duplicates": [{"text": "Vacina hoje #covid19", "posts": 22, "authors": 4, "first_at": AT}],
    f"{TAG}top-posts": [WRITTEN | SHOWN | {"reposts_seen": 22}],
    f"{TAG}newcomers": [{"at": "2026-11-23T00:00:00-03:00", "new_authors": 31, "returning_authors": 18}],
    f"{TAG}heatmap": [{"weekday": 1, "hour": 0, "posts": 8, "listened_hours": 1.0, "mean": 8.0}],
    f"{TAG}cooccurrence": {
        "method": "backbone α = 0.05",
        "pairs": 236,
        "nodes": [{"hashtag": "vacina", "posts": 56, "group": 0, "x": 1.0, "y": 0.3}],
        "edges": [{"one": "sus", "other": "vacina", "together": 21, "npmi": 0.31, "g2": 40.2}],
        "rows": [],
    },
    "/api/v1/hashtags": [
        {"hashtag": "covid19", "spelling": "Covid19", "posts": 1131, "authors": 223, "last_at": AT}
    ],
    "/api/v1/compare": {
        "granularity": "week",
        "at": ["2026-11-16T00:00:00-03:00", "2026-11-23T00:00:00-03:00"],
        "partial": [1],
        "hashtags": [COUNTED | {"hashtag": "covid19", "posts_by_step": [503, 628], "listened": 0.96}],
        "common": [{"one": "covid19", "other": "sus", "authors": 12}],
    },
    "/api/v1/rising": [
        {
            "hashtag": "gripe",
            "posts": 212,
            "authors": 180,
            "expected": 48.1,
            "lift": 4.1,
            "lift_low": 3.6,
            "lift_high": 4.7,
            "surprise": 9.3,
            "new": False,
            "exposure": 1.0,
        }
    ],
    "/api/v1/posts": [WRITTEN | SHOWN | {"type": "original", "language": "pt"}],
    "/api/v1/status": {
        "version": "0.1.0",
        "posts": 5000,
        "newest_at": AT,
        "received_at": AT,
        "per_minute": 0.4,
        "today": 246,
        "run": {"number": 412, "finished_at": "2026-11-23T20:00:12Z"},
        "networks": [
            {"network": "x", "rules": 1, "open_gaps": [], "deaf_since": None, "listened_today": 1.0}
        ],
        "followed": [
            {"network": "x", "rule": "#covid19", "since": "2026-11-16T20:01:00Z", "hashtags": ["covid19"]}
        ],
        "empty": False,
        "full": True,
        "token_needed": False,
    },
    "/api/v1/gaps": {
        "rows": [GAP],
        "lanes": [
            {
                "network": "x",
                "parts": [{"state": "missing", "from": GAP["started_at"], "to": GAP["ended_at"]}],
            }
        ],
    },
    "/api/v1/runs": [
        {
            "number": 412,
            "kind": "incremental",
            "started_at": "2026-11-23T17:00:08-03:00",
            "finished_at": "2026-11-23T17:00:12-03:00",
            "engine": "duckdb",
            "messages": 5000,
            "observations": 5000,
            "new_posts": 4987,
            "quarantined": 0,
            "hours": 3,
            "raw_version": 4711,
        }
    ],
    "/api/v1/quarantine": [
        {
            "stage": "envelope",
            "reason": "no JSON",
            "dialect": None,
            "source": "api.x.com",
            "messages": 2,
            "last_at": AT,
        }
    ],
    "/api/v1/catalog": [
        {
            "table": "dim_hashtag",
            "grain": "one folded hashtag",
            "columns": [{"column": "hashtag", "type": "VARCHAR", "description": "The hashtag, folded."}],
            "example": "select *\nfrom dim_hashtag\nlimit 20",
        }
    ],
    "/api/v1/sql": [{"hashtag": "covid19", "posts": 1131}],
}


def described(made: dict[str, Any]) -> dict[str, Any]:
    """The description that FastAPI made, completed in place."""
    schemas = made.setdefault("components", {}).setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas |= {"Problem": PROBLEM, "Answer": ANSWER}
    for path, operations in made["paths"].items():
        for operation in operations.values():
            _complete(path, operation)
    return made


def _complete(path: str, operation: dict[str, Any]) -> None:
    answers = operation["responses"]
    if path in EXAMPLES:
        content = {
            "application/json": {
                "schema": {"$ref": "#/components/schemas/Answer"},
                "example": {"data": EXAMPLES[path], "meta": META},
            }
        }
        forms = {
            form
            for parameter in operation.get("parameters", ())
            if parameter["name"] == "format"
            for form in parameter["schema"]["enum"]
        }
        if path == "/api/v1/sql":
            forms = set(MEDIA) - {"gexf"}
        for form in sorted(forms - {"json"}):
            content[MEDIA[form].split(";")[0]] = {"schema": {"type": "string", "format": "binary"}}
        answers["200"] = {"description": "The answer.", "content": content}
        if path != "/api/v1/sql":
            answers["304"] = {"description": "It has not changed since `If-None-Match`."}
    for status, title in PROBLEMS.items():
        answers[status] = {
            "description": title + ".",
            "content": {
                "application/problem+json": {
                    "schema": {"$ref": "#/components/schemas/Problem"},
                    "example": {"type": "about:blank", "title": title, "status": int(status), "detail": ""},
                }
            },
        }
