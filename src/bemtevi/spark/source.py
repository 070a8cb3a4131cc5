"""The format `bemtevi`: which options it has, and who reads what they ask for.

| option | what |
|---|---|
| the path of `load` | the lake: a folder or `s3://` address; that of the settings if there is none |
| `table` | which table; `fact_post`, the posts, if none is named |
| `live` | `true`: posts as they reach layer 1, before they are consolidated; a stream only |
| `network`, `track` | listen to this network for these rules (one a line), and stream what comes, as `live` |

Owns the options. Everything else is set as for the command line: `BEMTEVI_*` and `bemtevi.toml` where the
driver runs. Leaves tables to `tables` and what is live to `live`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pyspark.sql.datasource import DataSource, DataSourceReader, DataSourceStreamReader

from bemtevi.errors import UsageError
from bemtevi.lake.lake import Lake
from bemtevi.settings import Settings, load_settings
from bemtevi.spark.live import LiveReader
from bemtevi.spark.tables import BatchReader, StreamReader, definition_of
from bemtevi.warehouse.engines.spark.schema import spark_schema
from bemtevi.warehouse.model import FACT

OPTIONS = ("path", "table", "live", "network", "track")
SWITCH = {"true": True, "false": False}


@dataclass(frozen=True)
class Asked:
    """What the options ask for."""

    lake: str | None
    table: str = FACT
    live: bool = False
    network: str | None = None
    track: tuple[str, ...] = ()

    @classmethod
    def of(cls, options: Mapping[str, str]) -> Asked:
        """Raises UsageError for what is no option, or does not fit the others."""
        unknown = sorted(name for name in options if name.lower() not in OPTIONS)
        if unknown:
            raise UsageError(
                f"The format bemtevi has no option {unknown[0]}; there are {', '.join(OPTIONS[1:])}."
            )
        said = options.get("live", "false").lower()
        if said not in SWITCH:
            raise UsageError(f"The option live is true or false, not {said}.")
        network = options.get("network")
        rules = tuple(filter(None, (line.strip() for line in options.get("track", "").splitlines())))
        asked = cls(
            options.get("path"), options.get("table", FACT), SWITCH[said] or bool(network), network, rules
        )
        if rules and network is None:
            raise UsageError("The option track needs the option network: of which network, for example x.")
        if asked.live and asked.table != FACT:
            raise UsageError(f"Only posts are live: leave out the table {asked.table}.")
        definition_of(asked.table)
        return asked

    def settings(self) -> Settings:
        """The settings of this process, with the lake that is asked for."""
        return load_settings(**({} if self.lake is None else {"lake": self.lake}))


class BemteviSource(DataSource):  # type: ignore[misc]
    """See above."""

    @classmethod
    def name(cls) -> str:
        """What `format` is given."""
        return "bemtevi"

    def schema(self) -> Any:
        """The columns of the table."""
        return spark_schema(definition_of(Asked.of(self.options).table).schema)

    def reader(self, schema: Any) -> DataSourceReader:
        """Of a batch."""
        del schema  # it is ours
        asked = Asked.of(self.options)
        if asked.live:
            raise UsageError("What is live is a stream: read it with spark.readStream.")
        return BatchReader(Lake.of(asked.settings()), definition_of(asked.table))

    def streamReader(self, schema: Any) -> DataSourceStreamReader:  # noqa: N802  Spark's name
        """Of a stream."""
        del schema
        asked = Asked.of(self.options)
        settings = asked.settings()
        if asked.live:
            return LiveReader(settings, asked.network, asked.track)
        return StreamReader(Lake.of(settings), asked.table, settings.memory_limit)
