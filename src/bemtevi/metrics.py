"""Metrics: every name once, and one function for each thing that the parts report.

Owns names, labels, units and the endpoint from which Prometheus fetches them. A caller passes plain values; a
wrong name or label does not pass the type checker. No text of a post, hashtag, author or secret is a label.
Leaves to the callers when something is reported, and to `telemetry` the logs.
"""

from __future__ import annotations

import math
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry, Counter, Gauge, Info, ProcessCollector, start_http_server
from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from bemtevi import __version__
from bemtevi.errors import UsageError

Period = Literal["day", "month"]
Owner = Literal["ours", "others"]
Place = Literal["journal", "lake"]

LAG_BOUNDS = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0, 300.0, 900.0, 3_600.0, 21_600.0, 86_400.0)
"""Seconds. X's own P99 is 6 to 7; above a minute something is behind."""

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)


def _counter(name: str, told: str, *labels: str) -> Counter:
    return Counter(f"bemtevi_{name}", told, labels, registry=REGISTRY)


def _gauge(name: str, told: str, *labels: str) -> Gauge:
    return Gauge(f"bemtevi_{name}", told, labels, registry=REGISTRY)


class _Lag(Collector):
    """A histogram that takes many values at once: one call a post would cost more than reading it."""

    def __init__(self, name: str, told: str) -> None:
        self._name, self._told = name, told
        self._lock = threading.Lock()
        self._counts: dict[tuple[str, str], NDArray[np.int64]] = {}
        self._sums: dict[tuple[str, str], float] = {}
        REGISTRY.register(self)

    def observe(self, network: str, path: str, seconds: NDArray[np.float64]) -> None:
        """Count some lags. One that is negative (a clock's error) counts as none."""
        seconds = np.maximum(seconds, 0.0)
        found = np.bincount(np.searchsorted(LAG_BOUNDS, seconds), minlength=len(LAG_BOUNDS) + 1)
        with self._lock:
            known = self._counts.get((network, path))
            self._counts[network, path] = found if known is None else known + found
            self._sums[network, path] = self._sums.get((network, path), 0.0) + float(seconds.sum())

    def collect(self) -> Iterable[Metric]:
        """For the registry."""
        family = HistogramMetricFamily(self._name, self._told, labels=["network", "path"])
        bounds = [str(bound) for bound in (*LAG_BOUNDS, "+Inf")]
        with self._lock:
            for labels, counts in self._counts.items():
                upto = [float(count) for count in np.cumsum(counts)]
                family.add_metric(labels, list(zip(bounds, upto, strict=True)), self._sums[labels])
        yield family


_MESSAGES = _counter("received_messages", "Messages made durable in the journal.", "network", "path")
_BYTES = _counter("received_bytes", "Bytes of the messages made durable in the journal.", "network", "path")
_POSTS = _counter("written_posts", "Posts written to layer 1, repetitions included.", "network", "path")
_QUARANTINED = _counter("quarantined_messages", "Messages noted in quarantine.", "network", "path")
_LAG = _Lag("bemtevi_post_lag_seconds", "From the time of a post to the time that we received it.")
_SILENCE = _gauge("last_byte_age_seconds", "Since the last byte, keep-alives included.", "network")
_CONNECTED = _gauge("connected", "1 while a connection stands.", "network")
_CONNECTS = _counter("connects", "Connections tried.", "network")
_DISCONNECTS = _counter(
    "disconnects", "Connections that ended, by what must be done about it.", "network", "end"
)
_OPEN_GAPS = _gauge("open_gaps", "Gaps that are neither filled nor given up.", "network")
_RULES = _gauge("rules", "Rules at the network, ours or others', when last read.", "network", "owner")
_JOURNAL_BYTES = _gauge("journal_bytes", "Bytes in the journal that are not in layer 1.", "network")
_JOURNAL_SEGMENTS = _gauge("journal_segments", "Sealed segments that are not in layer 1.", "network")
_JOURNAL_AGE = _gauge("journal_oldest_segment_age_seconds", "Age of the oldest sealed segment.", "network")
_COMMITS = _counter("commits", "Commits, by table.", "table")
_STORAGE_RETRIES = _counter("storage_retries", "Times that layer 1 could not be written and is tried again.")
_RUNS = _counter("consolidations", "Consolidations that ended, by how.", "result")
_LAST_RUN = _gauge(
    "last_consolidation_timestamp_seconds", "When the last consolidation that went well ended."
)
_CHECKS = _gauge(
    "check_passed", "1 if the check held in the last run that asked it.", "table", "check", "severity"
)
_READ = _gauge("read_posts", "Posts read and counted against the budget.", "network", "period")
_SPENT = _gauge("spent_dollars", "What these posts cost at the price that is set.", "network", "period")
_LIMIT = _gauge("budget_posts", "The limit that is set; not there without one.", "network", "period")
_SAMPLE = _gauge("sample_percent", "Share of matching posts that the rules ask for.", "network")
_DISK_FREE = _gauge("disk_free_bytes", "Bytes free on the disk of the journal or the lake.", "place")
Info("bemtevi_build", "The version that runs.", registry=REGISTRY).info({"version": __version__})


def received(network: str, path: str, messages: int, size: int) -> None:
    """The journal has made messages of so many bytes durable."""
    _MESSAGES.labels(network, path).inc(messages)
    _BYTES.labels(network, path).inc(size)


def written(network: str, path: str, posts: int, lags: NDArray[np.float64]) -> None:
    """Layer 1 has so many posts more. `lags`: seconds, of those posts that tell their time."""
    _POSTS.labels(network, path).inc(posts)
    _LAG.observe(network, path, lags)


def quarantined(network: str, path: str, messages: int) -> None:
    """Quarantine has so many messages more."""
    _QUARANTINED.labels(network, path).inc(messages)


def connecting(network: str) -> None:
    """A connection is tried."""
    _CONNECTS.labels(network).inc()


def connected(network: str, *, stands: bool) -> None:
    """A connection stands, or does not any more."""
    _CONNECTED.labels(network).set(stands)


def disconnected(network: str, end: str) -> None:
    """A connection ended; `end` is its class, one of a few."""
    _DISCONNECTS.labels(network, end).inc()
    _CONNECTED.labels(network).set(0)


def watch_silence(network: str, seconds: Callable[[], float]) -> None:
    """Ask `seconds` for the age of the last byte whenever somebody wants to know."""
    _SILENCE.labels(network).set_function(seconds)


def open_gaps(network: str, number: int) -> None:
    """So many gaps are open."""
    _OPEN_GAPS.labels(network).set(number)


def rules(network: str, owner: Owner, number: int) -> None:
    """So many rules are at the network."""
    _RULES.labels(network, owner).set(number)


def watch_journal(network: str, sealed: Callable[[], Iterable[Path]], now: Callable[[], float]) -> None:
    """Look at the sealed segments whenever somebody wants to know. `now`: seconds since 1970."""

    def sizes() -> list[tuple[int, float]]:
        found = []
        for path in sealed():
            try:
                told = path.stat()
            except OSError:  # written and gone since
                continue
            found.append((told.st_size, told.st_mtime))
        return found

    _JOURNAL_BYTES.labels(network).set_function(lambda: sum(size for size, _ in sizes()))
    _JOURNAL_SEGMENTS.labels(network).set_function(lambda: len(sizes()))
    _JOURNAL_AGE.labels(network).set_function(
        lambda: max((max(now() - at, 0.0) for _, at in sizes()), default=0.0)
    )


def committed(table: str) -> None:
    """A table has a new version, of ours."""
    _COMMITS.labels(table).inc()


def storage_away() -> None:
    """Layer 1 could not be written; it is tried again."""
    _STORAGE_RETRIES.inc()


def consolidated(result: Literal["done", "busy", "failed"], now: float) -> None:
    """A consolidation ended. `now`: seconds since 1970."""
    _RUNS.labels(result).inc()
    if result == "done":
        _LAST_RUN.set(now)


def last_run(at: float) -> None:
    """The tables that are shown were made then, by whomever. `at`: seconds since 1970."""
    _LAST_RUN.set(at)


def checked(table: str, check: str, severity: str, *, passed: bool) -> None:
    """A run has asked a check."""
    _CHECKS.labels(table, check, severity).set(passed)


def budget(network: str, period: Period, posts: int, dollars: float, limit: int | None) -> None:
    """What was read in the current day or month, what it costs, and what may be read."""
    _READ.labels(network, period).set(posts)
    _SPENT.labels(network, period).set(dollars)
    if limit is not None:
        _LIMIT.labels(network, period).set(limit)


def sample(network: str, percent: int) -> None:
    """The rules ask for this share of matching posts."""
    _SAMPLE.labels(network).set(percent)


def watch_disk(place: Place, folder: Path) -> None:
    """Look at the free space of a disk whenever somebody wants to know; not a number if it is away."""

    def free() -> float:
        try:
            return shutil.disk_usage(folder).free
        except OSError:
            return math.nan

    _DISK_FREE.labels(place).set_function(free)


def described() -> Iterator[tuple[str, str, tuple[str, ...], str]]:
    """Name, kind, labels and meaning of each metric of ours, for the reference page."""
    for name, value in sorted(globals().items()):
        if not name.startswith("_"):
            continue
        if isinstance(value, Counter | Gauge):
            (family,) = value.describe()
            suffix = "_total" if family.type == "counter" else ""
            yield family.name + suffix, family.type, tuple(value._labelnames), family.documentation
        elif isinstance(value, _Lag):
            (family,) = value.collect()
            yield family.name, family.type, ("network", "path"), family.documentation


@contextmanager
def endpoint(host: str, port: int) -> Iterator[str]:
    """Serve the metrics for the length of a block; its address. Port 0 takes a free one.

    Raises UsageError if the port cannot be had.
    """
    try:
        server, thread = start_http_server(port, host, REGISTRY)
    except OSError as error:
        raise UsageError(
            f"Metrics cannot be served on {host}:{port} ({error.strerror or error}): choose another with "
            "--metrics-port."
        ) from None
    try:
        yield f"http://{host}:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(1.0)
