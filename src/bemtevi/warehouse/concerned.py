"""Which hours of the tables tombstones concern, and in what portions they are made again.

Owns the search for what goes and for what comes back. Leaves to `deletion` what the tombstones say, and to
`consolidate` the making of the hours.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from bemtevi.lake.lake import Lake
from bemtevi.lake.raw import RAW
from bemtevi.warehouse.deletion import Changes
from bemtevi.warehouse.engine import Engine
from bemtevi.warehouse.model import CREATED_HOUR, Model, Scope, hour_columns
from bemtevi.warehouse.run import Run, files_of, raw_kept_from

HOURS_AT_ONCE = 168
"""So many hours are replaced in one step when tombstones concern more."""
NO_HOUR = datetime(1970, 1, 1, tzinfo=UTC)
"""Holds no post: the hour of a step that only concerns tables of other hours."""

Hours = Mapping[str, Sequence[datetime]]
"""UTC hours by the column of the observation that they are of: of writing, of observing."""


class Concerned:
    """Finds the hours of one lake's tables that changed tombstones concern."""

    def __init__(self, lake: Lake, engine: Engine, models: Sequence[Model]) -> None:
        self._lake = lake
        self._engine = engine
        self._models = models

    def gone(self, changes: Changes, last: Run) -> dict[str, list[datetime]]:
        """The hours in which something that stands in a table goes, by the column that they are of."""
        found: dict[str, set[datetime]] = {column: set() for column in hour_columns()}
        if changes.gone.num_rows:
            self._engine.hide(changes.gone)
            for model in self._models:
                # what is made of other tables alone goes with them
                if model.scope is Scope.HOURS and "existing" in model.inputs:
                    files = files_of(self._lake.table(model.definition), last.table_versions)
                    found[model.touched] |= {*self._engine.concerned_hours(model, files)}
        return {column: sorted(hours) for column, hours in found.items()}

    def back(self, changes: Changes, last: Run) -> list[datetime]:
        """The hours to be made again for what comes back; those whose messages were removed by age cannot."""
        if not changes.restored:
            return []
        files = self._lake.table(RAW).files(last.raw_version, "true")
        self._engine.hide(changes.gone.slice(0, 0))
        self._engine.stage(files, holding=None if changes.networks else changes.restored)
        kept_from = raw_kept_from(self._lake)
        hours = self._engine.touched_hours(CREATED_HOUR)
        return [hour for hour in hours if kept_from is None or hour >= kept_from]


def some_at_once(hours: Hours) -> Iterator[Hours]:
    """Hours in parts that are not too large; a part without hours of writing has one that holds no post."""
    for at in range(0, max(map(len, hours.values())), HOURS_AT_ONCE):
        some = {column: of[at : at + HOURS_AT_ONCE] for column, of in hours.items()}
        yield some | {CREATED_HOUR: some[CREATED_HOUR] or [NO_HOUR]}
