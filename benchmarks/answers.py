"""A process of its own that asks the questions about one hashtag again and again, and prints the times."""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable

from bemtevi.lake.lake import Lake
from bemtevi.serve import questions
from bemtevi.serve.catalog import Catalog
from bemtevi.serve.questions import Period
from bemtevi.settings import load_settings

TIMES = 20


def main(spelling: str) -> None:
    """One JSON line: milliseconds of each question, at the median and at worst, all warm."""
    settings = load_settings()
    began = time.perf_counter()
    with Catalog(Lake.of(settings), memory_limit=settings.memory_limit, threads=settings.threads) as catalog:
        opened = time.perf_counter() - began
        tag = questions.find_hashtag(catalog, spelling)
        period = questions.bounds(catalog, tag)
        if period is None:
            raise SystemExit(f"the hashtag {tag} has no posts")
        asked = {name: _milliseconds(ask) for name, ask in _questions(catalog, tag, period).items()}
    print(json.dumps({"open_ms": round(opened * 1e3), "questions": asked}))


def _questions(catalog: Catalog, tag: str, period: Period) -> dict[str, Callable[[], object]]:
    return {
        "summary": lambda: questions.summary(catalog, tag, period),
        "timeline": lambda: questions.timeline(catalog, tag, period, "hour"),
        "top_posts": lambda: questions.top_posts(catalog, tag, period, 5),
        "top_authors": lambda: questions.top_authors(catalog, tag, period, 5),
        "languages": lambda: questions.languages(catalog, tag, period, 5),
        "seen_with": lambda: questions.seen_with(catalog, tag, period, 5),
        "top_hashtags": lambda: questions.top_hashtags(catalog, period, 20),
    }


def _milliseconds(ask: Callable[[], object]) -> dict[str, float]:
    ask()
    took = []
    for _ in range(TIMES):
        began = time.perf_counter()
        ask()
        took.append((time.perf_counter() - began) * 1e3)
    return {"median": round(statistics.median(took), 1), "worst": round(max(took), 1)}


if __name__ == "__main__":
    main(sys.argv[1])
