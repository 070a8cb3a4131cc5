"""Every setting, typed, with where it may come from: flag over environment over `bemtevi.toml` over default.

Owns names, defaults and bounds. Leaves to others what a setting does; nobody else reads the environment.
"""

from __future__ import annotations

import os
import re
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from bemtevi.errors import UsageError

FILE = Path("bemtevi.toml")
MEBIBYTE = 1024 * 1024
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
SIZE = re.compile(r"\d+(\.\d+)?\s*[KMGT]i?B")

KEYS_OF_STORE = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
"""They may stand in files of their own, as our secrets may."""

LONGEST_RULE = 1_024
MOST_RULES = 1_000


class Settings(BaseSettings):
    """The settings of one process. Environment names are `BEMTEVI_` and the field's name in capitals."""

    model_config = SettingsConfigDict(env_prefix="BEMTEVI_", extra="forbid", frozen=True)

    lake: str = Field("lake", description="Folder or `s3://bucket/prefix` that holds the tables.")
    single_writer: bool = Field(
        False,
        description="Promise that only one process at a time writes the lake: for an S3 server that ignores "
        "If-None-Match, which is refused otherwise.",
    )
    journal: Path = Field(Path("journal"), description="Local folder of segments not yet in layer 1.")
    timezone: str = Field("America/Sao_Paulo", description="Zone of local times and partitions of layer 2.")
    engine: Literal["duckdb", "spark"] = Field(
        "duckdb", description="Engine that consolidates: duckdb on this machine, spark on a cluster."
    )
    spark: str = Field(
        "local[*]",
        description="Where Spark runs: local[*], a master such as spark://host:7077, or a Connect server sc://host.",
    )
    memory_limit: str = Field("1GB", description="Memory that the engine may use before it spills to disk.")
    threads: int | None = Field(None, ge=1, description="Threads of the engine; all cores if not set.")
    x_bearer_token: SecretStr | None = Field(None, description="App-only bearer token of X's API v2.")
    x_api_url: str = Field("https://api.x.com", description="Server that speaks X's API.")
    x_rule_length: int = Field(
        LONGEST_RULE, ge=1, description="Longest rule that X takes, in characters; more with some contracts."
    )
    x_rule_cap: int = Field(
        MOST_RULES, ge=1, description="Most rules that X lets one app have; more with some contracts."
    )
    x_post_price: float = Field(0.005, ge=0, description="Price of a post that is read, in dollars.")
    x_monthly_cap: int = Field(
        3_000_000, ge=0, description="Posts a month that X lets be read; told, not enforced by us."
    )
    x_cycle_day: int = Field(1, ge=1, le=31, description="Day of the month on which X's month begins.")
    budget_daily_posts: int | None = Field(
        None, ge=1, description="Posts that may be read on one UTC day; no limit if not set."
    )
    budget_monthly_posts: int | None = Field(
        None, ge=1, description="Posts that may be read in X's month; no limit if not set."
    )
    budget_monthly_dollars: float | None = Field(
        None, gt=0, description="Dollars that may be spent in X's month; no limit if not set."
    )
    budget_action: Literal["stop", "sample"] = Field(
        "stop", description="stop reading at a limit, or first slow the rules with sample: so that it lasts."
    )
    segment_bytes: int = Field(64 * MEBIBYTE, ge=1024, description="Bytes after which a segment is sealed.")
    segment_seconds: float = Field(
        1.0, gt=0, description="Time after which a segment is sealed, in seconds: how fresh layer 1 is."
    )
    fsync_seconds: float = Field(
        0.2, gt=0, description="Longest time a message waits for the journal's fsync, in seconds."
    )
    journal_reserve_bytes: int = Field(
        256 * MEBIBYTE,
        ge=0,
        description="Free bytes of the journal's disk below which listening stops until there is room again.",
    )
    metrics_port: int | None = Field(
        None, ge=0, le=65535, description="Port at which Prometheus fetches metrics; none if not set."
    )
    metrics_host: str = Field(
        "127.0.0.1", description="Address at which metrics are served; this machine alone by default."
    )
    silence_seconds: float = Field(
        22.0,
        gt=0,
        description="Seconds without a byte after which a connection counts as dead; X sends one every 20 s.",
    )
    api_token: SecretStr | None = Field(
        None, description="Token of the REST API; needed to serve on an address that others reach."
    )
    author_key: SecretStr | None = Field(
        None, description="Key with which author ids are made pseudonyms in answers without the token."
    )
    suppression_key: SecretStr | None = Field(
        None,
        min_length=16,
        description="Key of the hashes by which the forgotten is known again; kept in the lake if not set.",
    )
    fill_gaps: bool = Field(
        True, description="Whether `listen` fills gaps by search; the posts cost as others do."
    )
    fill_delay_seconds: float = Field(
        60.0, ge=0, description="Seconds after a gap before it is filled: search needs time to find posts."
    )
    search_archive: bool = Field(
        False, description="Whether gaps are filled from the full archive, not only from the last 7 days."
    )
    batch_bytes: int = Field(
        96 * MEBIBYTE,
        ge=MEBIBYTE,
        description="Bytes of layer-1 files consolidated in one step; `run` begins one when as much waits.",
    )

    openlineage: bool = Field(
        False,
        description="Whether consolidate, rebuild and maintain are told as OpenLineage events; where to, say "
        "`openlineage.yml` or `OPENLINEAGE_*`.",
    )
    openlineage_namespace: str = Field("bemtevi", description="Namespace of the jobs in those events.")
    openlineage_parent: str | None = Field(
        None, description="The run of a scheduler that they belong to: `namespace/job/run id`, the id a UUID."
    )
    retention_versions_hours: int = Field(
        6,
        ge=1,
        le=168,
        description="Hours that files stay after they left a table: for who still reads them.",
    )
    erase_hours: int = Field(
        24,
        ge=0,
        description="Hours within which maintenance erases what is deleted: it begins after half of them, so "
        "that it may come back until then.",
    )
    retention_raw_days: int | None = Field(
        None,
        ge=1,
        description="Days that messages of layer 1 are kept, by date received; for ever if not set.",
    )
    retention_facts_days: int | None = Field(
        None,
        ge=1,
        description="Days that posts and their aggregates are kept, by date created; for ever if not set.",
    )

    @field_validator("timezone")
    @classmethod
    def known_timezone(cls, value: str) -> str:
        """Refuse a zone that the IANA database does not know."""
        if value not in available_timezones():
            raise ValueError(f"'{value}' is not a time zone of the IANA database (America/Sao_Paulo is)")
        return value

    @field_validator("openlineage_parent")
    @classmethod
    def run_of_a_scheduler(cls, value: str | None) -> str | None:
        """Refuse what does not name a run."""
        parts = [] if value is None else value.rsplit("/", 2)
        if value is not None and (len(parts) != 3 or not all(parts) or not UUID.fullmatch(parts[-1])):
            raise ValueError(f"'{value}' names no run: write namespace/job/run id, the id a UUID")
        return value

    @field_validator("memory_limit")
    @classmethod
    def size(cls, value: str) -> str:
        """Refuse what is not a size."""
        if not SIZE.fullmatch(value):
            raise ValueError(f"'{value}' is no size: write a number and KB, MB, GB or TB, for example 2GB")
        return value

    @field_validator("spark")
    @classmethod
    def place_of_spark(cls, value: str) -> str:
        """Refuse what is neither a master URL nor a Connect URL."""
        if not re.match(r"local($|\[)|(spark|k8s|sc)://|yarn$", value):
            raise ValueError(
                f"'{value}' is no place for Spark: write local[*], spark://HOST:7077 or sc://HOST"
            )
        return value

    @field_validator("lake")
    @classmethod
    def named(cls, value: str) -> str:
        """Refuse an empty name: it would be the folder in which we are called."""
        if not value.strip():
            raise ValueError("it is empty: name a folder or s3://bucket/prefix")
        return value

    @field_validator("x_api_url")
    @classmethod
    def web_address(cls, value: str) -> str:
        """Refuse what is not an http address; a trailing slash is dropped."""
        if not value.startswith(("http://", "https://")):
            raise ValueError(f"'{value}' must start with https:// or http://")
        return value.rstrip("/")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  the signature is pydantic's
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags (given as arguments) win over the environment, the environment over the file."""
        secrets = InitSettingsSource(settings_cls, secrets_of_files(settings_cls))
        return (init_settings, env_settings, secrets, TomlConfigSettingsSource(settings_cls, toml_file=FILE))

    @property
    def zone(self) -> ZoneInfo:
        """The zone of local times."""
        return ZoneInfo(self.timezone)

    @property
    def storage_options(self) -> dict[str, str]:
        """The `AWS_*` names of the environment; empty for a local folder."""
        if "://" not in self.lake:
            return {}
        options = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
        for name in KEYS_OF_STORE:
            path = options.pop(f"{name}_FILE", "")
            if path and name not in options:
                options[name] = _secret_of(f"{name}_FILE", path)
        return options


def secrets_of_files(settings_class: type[BaseSettings]) -> dict[str, str]:
    """The secrets whose files `BEMTEVI_<NAME>_FILE` names, as Docker and Kubernetes hand them out.

    Raises UsageError for a file that cannot be read.
    """
    found = {}
    for name, declared in settings_class.model_fields.items():
        variable = f"BEMTEVI_{name.upper()}_FILE"
        path = os.environ.get(variable, "")
        if not path or declared.annotation not in (SecretStr, SecretStr | None):
            continue
        found[name] = _secret_of(variable, path)
    return found


def _secret_of(variable: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise UsageError(f"{variable} names {path}, which cannot be read: {reason}.") from None


def load_settings(**flags: Any) -> Settings:
    """The settings, with the flags that were given (None means not given).

    Raises UsageError with one sentence for the first value that does not fit.
    """
    try:
        return Settings(**{name: value for name, value in flags.items() if value is not None})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            near = "".join(f" ({one} is)" for one in get_close_matches(name, Settings.model_fields, 1))
            raise UsageError(f"The settings file {FILE} names '{name}', which is no setting{near}.") from None
        message = first["msg"].removeprefix("Value error, ")
        raise UsageError(
            f"The setting {name} (BEMTEVI_{name.upper()} or '{name}' in {FILE}) is wrong: {message}."
        ) from None
    except (OSError, ValueError) as error:
        raise UsageError(f"The settings file {FILE} cannot be read: {error}.") from None
