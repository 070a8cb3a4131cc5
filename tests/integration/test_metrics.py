"""The metrics as Prometheus fetches them from a listener, and what may not be in them."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families
from tests.integration.command import Person, interrupt
from tests.support import eventually

from bemtevi import metrics
from bemtevi.errors import UsageError
from bemtevi.simulate import RunningX, Simulation, running_x

Found = dict[tuple[str, tuple[str, ...]], float]
TOKEN = "never-to-be-seen"  # noqa: S105
RULE = "#covid19"


@pytest.fixture
def server() -> Iterator[RunningX]:
    with running_x(Simulation(topics=("covid19",), rate=500, seed=5, token=TOKEN)) as running:
        yield running


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def fetched(port: int) -> tuple[str, Found]:
    """What the endpoint says, as text and by name and values of labels; empty if nobody is there yet."""
    try:
        answer = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=30)
    except requests.ConnectionError:
        return "", {}
    assert answer.status_code == 200
    return answer.text, parsed(answer.text)


def parsed(text: str) -> Found:
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_listener_tells_prometheus_what_it_does(person: Person, server: RunningX) -> None:
    person.environment |= {
        "BEMTEVI_X_API_URL": server.url,
        "BEMTEVI_X_BEARER_TOKEN": TOKEN,
        "BEMTEVI_SEGMENT_SECONDS": "0.5",
    }
    person.good("track", RULE)
    port = free_port()
    process = person.start("--log-json", "listen", "--metrics-port", str(port))
    try:
        eventually(lambda: fetched(port)[1].get(("bemtevi_written_posts_total", ("x", "stream")), 0) > 300)
        text, found = fetched(port)
    finally:
        result = interrupt(process)
    assert result.code == 0, result.err
    written = found["bemtevi_written_posts_total", ("x", "stream")]
    assert found["bemtevi_received_messages_total", ("x", "stream")] >= written
    assert found["bemtevi_received_bytes_total", ("x", "stream")] > written * 100
    assert found["bemtevi_post_lag_seconds_count", ("x", "stream")] == written
    assert 0 <= found["bemtevi_post_lag_seconds_sum", ("x", "stream")] / written < 30
    assert found["bemtevi_commits_total", ("raw",)] >= 1
    assert found["bemtevi_connects_total", ("x",)] == 1
    assert found["bemtevi_rules", ("x", "ours")] == 1
    assert found["bemtevi_rules", ("x", "others")] == 0
    assert found["bemtevi_disk_free_bytes", ("journal",)] > 0
    assert found["bemtevi_disk_free_bytes", ("lake",)] > 0
    assert found["bemtevi_journal_segments", ("x",)] >= 0
    assert found["process_resident_memory_bytes", ()] > 0
    assert TOKEN not in text + result.err
    assert RULE.strip("#") not in text
    events = [json.loads(line) for line in result.err.splitlines() if line.startswith("{")]
    (serving,) = [event for event in events if event["event"] == "metrics.serving"]
    assert serving["url"] == f"http://127.0.0.1:{port}/metrics"


def test_without_the_flag_nothing_is_served_and_a_taken_port_is_one_sentence(
    person: Person, server: RunningX
) -> None:
    person.environment |= {"BEMTEVI_X_API_URL": server.url, "BEMTEVI_X_BEARER_TOKEN": TOKEN}
    person.good("track", RULE)
    result = person.run("listen", "--seconds", "0.5")
    assert result.code == 0
    assert "metrics.serving" not in result.err
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert "--metrics-port" in person.run("listen", "--metrics-port", port).sentence(2)


def test_the_endpoint_is_for_this_machine_and_ends_with_its_block() -> None:
    with metrics.endpoint("127.0.0.1", 0) as url:
        assert url.startswith("http://127.0.0.1:")
        assert "bemtevi_build_info" in requests.get(url, timeout=30).text
    with pytest.raises(requests.ConnectionError):
        requests.get(url, timeout=30)


def test_an_address_that_is_not_ours_is_one_sentence() -> None:
    with pytest.raises(UsageError, match="metrics"), metrics.endpoint("192.0.2.1", 0):
        pass


def test_the_journal_is_looked_at_when_somebody_asks(tmp_path: Path) -> None:
    segment = tmp_path / "1.segment"
    metrics.watch_journal("test-journal", lambda: tmp_path.glob("*.segment"), lambda: segment_time + 60.0)
    segment.write_bytes(b"x" * 1000)
    segment_time = segment.stat().st_mtime
    with metrics.endpoint("127.0.0.1", 0) as url:
        found = parsed(requests.get(url, timeout=30).text)
        assert found["bemtevi_journal_bytes", ("test-journal",)] == 1000
        assert found["bemtevi_journal_segments", ("test-journal",)] == 1
        assert found["bemtevi_journal_oldest_segment_age_seconds", ("test-journal",)] == pytest.approx(60)
        segment.unlink()
        found = parsed(requests.get(url, timeout=30).text)
        assert found["bemtevi_journal_bytes", ("test-journal",)] == 0
        assert found["bemtevi_journal_oldest_segment_age_seconds", ("test-journal",)] == 0


def test_a_disk_that_is_away_does_not_take_the_other_metrics_with_it(tmp_path: Path) -> None:
    metrics.watch_disk("lake", tmp_path / "nowhere")
    with metrics.endpoint("127.0.0.1", 0) as url:
        found = parsed(requests.get(url, timeout=30).text)
    assert np.isnan(found["bemtevi_disk_free_bytes", ("lake",)])


def test_lags_are_counted_in_their_buckets() -> None:
    lags = np.array([-5.0, 0.2, 0.5, 6.5, 7.0, 1e9])
    metrics.written("test-lag", "stream", 3, lags[:3])
    metrics.written("test-lag", "stream", 4, lags[3:])
    with metrics.endpoint("127.0.0.1", 0) as url:
        text = requests.get(url, timeout=30).text
    upto = {
        sample.labels["le"]: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "bemtevi_post_lag_seconds_bucket" and sample.labels["network"] == "test-lag"
    }
    assert (upto["0.5"], upto["5.0"], upto["10.0"], upto["86400.0"], upto["+Inf"]) == (3, 3, 5, 5, 6)
    assert parsed(text)["bemtevi_written_posts_total", ("test-lag", "stream")] == 7


def test_every_metric_says_what_it_is() -> None:
    described = list(metrics.described())
    assert len(described) > 20
    for name, kind, _, told in described:
        assert name.startswith("bemtevi_")
        assert told.endswith(".")
        assert (kind == "counter") == name.endswith("_total")
    names = [name for name, *_ in described]
    assert len(names) == len(set(names))


def test_what_segments_are_gone_while_they_are_counted_is_left_out(tmp_path: Path) -> None:
    metrics.watch_journal("test-gone", lambda: [tmp_path / "gone.segment"], time.time)
    with contextlib.ExitStack() as open_endpoint:
        url = open_endpoint.enter_context(metrics.endpoint("127.0.0.1", 0))
        assert parsed(requests.get(url, timeout=30).text)["bemtevi_journal_segments", ("test-gone",)] == 0
