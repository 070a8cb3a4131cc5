"""The engines that run staging and models, one module each behind `warehouse.engine.Engine`.

Owns the choice of the engine by the settings, and what each is told of the rules that are followed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bemtevi.errors import UsageError
from bemtevi.lake.lake import Lake
from bemtevi.lake.track import TrackedRule, read_rules
from bemtevi.settings import Settings
from bemtevi.warehouse.engine import Engine
from bemtevi.warehouse.engines.duckdb import DuckDBEngine
from bemtevi.warehouse.hashtag import extract
from bemtevi.warehouse.maintain import Elsewhere


def open_engine(settings: Settings, lake: Lake) -> Engine:
    """The engine of the settings, to be used as a context manager."""
    if settings.engine == "spark":
        return open_spark(settings, lake)
    return open_embedded(settings, lake)


def open_embedded(settings: Settings, lake: Lake) -> DuckDBEngine:
    """The engine in this process, for who only looks."""
    return DuckDBEngine(
        timezone=settings.timezone,
        memory_limit=settings.memory_limit,
        threads=settings.threads,
        rule_hashtags=rule_hashtags(lake),
        storage_options=lake.storage_options,
    )


def open_spark(settings: Settings, lake: Lake) -> Engine:
    """The engine of a cluster. Raises UsageError where PySpark is not installed."""
    with _installed():
        from bemtevi.warehouse.engines.spark.engine import SparkEngine
    return SparkEngine(
        place=settings.spark,
        timezone=settings.timezone,
        memory_limit=settings.memory_limit,
        rule_hashtags=rule_hashtags(lake),
        storage_options=lake.storage_options,
    )


def open_elsewhere(settings: Settings) -> Elsewhere | None:
    """Who writes the files of a compaction, by the settings; None if this process does."""
    if settings.engine != "spark":
        return None
    with _installed():
        from bemtevi.warehouse.engines.spark.compaction import SparkCompaction
    return SparkCompaction(settings.spark)


@contextmanager
def _installed() -> Iterator[None]:
    """Raises UsageError where PySpark is not installed."""
    try:
        yield
    except ImportError as error:
        raise UsageError(
            f"The engine spark needs {error.name}, which is not installed: pip install 'bemtevi[spark]'."
        ) from None


def rule_hashtags(lake: Lake) -> dict[str, list[str]]:
    """For the tag of each rule of ours, the hashtags that the rule asks for."""
    return {rule.tag: asked_hashtags(rule) for rule in read_rules(lake, removed=True)}


def asked_hashtags(rule: TrackedRule) -> list[str]:
    """The hashtag that every post matched by a rule was matched for; none where it could be another.

    `#a lang:pt` asks for #a; `#a OR #b` and `#a OR word` leave open which it was.
    """
    if " OR " in rule.value or "-#" in rule.value:
        return []
    found = extract(rule.value)
    return found if len(found) == 1 else []
