"""Live events over real sockets: many clients, none lost, none twice, the slow ones left."""

from __future__ import annotations

import asyncio
import json
import resource
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from starlette.testclient import TestClient
from tests.support import new_lake, post, put

from bemtevi.cli.serve import served
from bemtevi.lake.lake import Lake
from bemtevi.serve.api import create_app
from bemtevi.serve.api.guard import Access
from bemtevi.serve.live import MOST_EVENTS, Ring
from bemtevi.serve.snapshot import Snapshots
from bemtevi.settings import load_settings

CLIENTS = 1_000
NONE: frozenset[str] = frozenset()


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = new_lake(tmp_path)
    put(lake, [post(1, "um #covid19")], number=0)
    return lake


@pytest.fixture
def url(lake: Lake, tmp_path: Path) -> Iterator[str]:
    settings = load_settings(lake=lake.layout.root, journal=tmp_path / "journal", threads=2)
    with served(settings, lake, "127.0.0.1", 0, lambda: None) as address:
        yield ready(address)


def ready(url: str) -> str:
    """The address, once the tables are open."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url + "/readyz", timeout=20):  # noqa: S310  our own
                return url
        except urllib.error.HTTPError as error:
            assert error.code == 503
        time.sleep(0.05)
    raise AssertionError("the tables were not opened")


async def opened(
    url: str, query: str = "", last: str = ""
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection that has read the headers."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=1 << 20)
    more = f"Last-Event-ID: {last}\r\n" if last else ""
    writer.write(f"GET /api/v1/live{query} HTTP/1.1\r\nHost: 127.0.0.1\r\n{more}\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    assert b"200 OK" in head
    assert b"text/event-stream" in head
    return reader, writer


async def event(reader: asyncio.StreamReader) -> tuple[str, str, Any]:
    """The next event: id, kind, data."""
    found: dict[str, str] = {}
    while True:
        line = (await asyncio.wait_for(reader.readline(), 30)).decode().rstrip("\r\n")
        name, _, value = line.partition(": ")
        if name in ("id", "event", "data"):
            found[name] = value
        if not line and "data" in found:
            return found["id"], found["event"], json.loads(found["data"])


async def until_total(reader: asyncio.StreamReader) -> list[tuple[str, str, Any]]:
    """The events up to the end of a step."""
    found: list[tuple[str, str, Any]] = []
    while not found or found[-1][1] != "total":
        found.append(await event(reader))
    return found


def test_a_thousand_clients_at_once(lake: Lake, url: str) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 8_192)), hard))

    async def all_of_them() -> None:
        clients = [await opened(url) for _ in range(CLIENTS)]
        for reader, _ in clients:
            assert (await event(reader))[1] == "resync"
        put(lake, [post(2, "dois #covid19 <script>")], number=1)
        for reader, _ in clients:
            kinds = {kind: data for _, kind, data in await until_total(reader)}
            assert kinds["post"]["text"] == "dois #covid19 <script>"
            assert kinds["count"]["hashtag"] == "covid19"
            assert kinds["total"]["new"] == 1
        for _, writer in clients:
            writer.close()

    asyncio.run(all_of_them())


def test_a_client_goes_on_where_it_was(lake: Lake, url: str) -> None:
    async def away_and_back() -> None:
        reader, writer = await opened(url, "?tag=%23Covid19")
        await event(reader)
        put(lake, [post(2, "dois #covid19"), post(3, "outra #sus")], number=1)
        first = await until_total(reader)
        assert [data["text"] for _, kind, data in first if kind == "post"] == ["dois #covid19"]
        writer.close()
        for number in range(2, 5):
            put(lake, [post(number + 10, f"{number} #covid19")], number=number)
        reader, writer = await opened(url, "?tag=covid19", first[-1][0])
        assert (await event(reader))[1] == "hello"
        texts: list[str] = []
        while len(texts) < 3:
            texts += [data["text"] for _, kind, data in [await event(reader)] if kind == "post"]
        assert texts == ["2 #covid19", "3 #covid19", "4 #covid19"]
        writer.close()
        reader, writer = await opened(url, "", "othe-5")
        assert (await event(reader))[1] == "resync"
        writer.close()

    asyncio.run(away_and_back())


def test_counts_are_the_whole_of_their_minute(lake: Lake, url: str) -> None:
    now = datetime.now(UTC)
    number = int((now - datetime(2026, 11, 24, 10, tzinfo=UTC)) / timedelta(seconds=1))

    async def twice() -> None:
        reader, writer = await opened(url)
        await event(reader)
        counted: dict[str, int] = {}
        for turn in range(2):
            # the time in an id rules
            id_ = ((int(now.timestamp() * 1000) - 1288834974657) << 22) + turn
            put(lake, [post(number, f"{turn} #agora", id=str(id_))], number=1 + turn)
            for _, kind, data in await until_total(reader):
                if kind == "count":
                    counted |= dict(data["minutes"])
        assert sum(counted.values()) == 2
        writer.close()

    asyncio.run(twice())


def test_who_is_left_behind_is_told() -> None:
    ring = Ring()
    for number in range(MOST_EVENTS + 10):
        ring.add("total", (), {"n": number}, {"n": number})
    assert ring.after(5, NONE, full=True) is None
    assert ring.place(f"{ring.life}-5") is None
    newest = ring.last
    assert ring.after(newest, NONE, full=True) == (b"", newest)
    assert ring.after(newest - 1, NONE, full=True) is not None
    assert ring.after(newest + 1, NONE, full=True) is None


def test_a_client_that_does_not_read_is_left(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds back nobody; the server lets go of it."""
    from bemtevi.serve import api
    from bemtevi.serve.api import live

    ring = Ring()
    monkeypatch.setattr(api, "Ring", lambda: ring)
    # more than a busy machine lets the other one wait, which would be left too
    monkeypatch.setattr(live, "SEND_SECONDS", 5.0)
    settings = load_settings(lake=lake.layout.root, journal=tmp_path / "journal", threads=2)

    async def one_sleeps(url: str) -> None:
        asleep, sleeper = await opened(url)
        awake, writer = await opened(url)
        await event(awake)
        for number in range(200):
            ring.add("post", (), "x" * 60_000, None)
            ring.add("total", (), number, number)
            ring.wake()
            await until_total(awake)
        await asyncio.sleep(6.0)
        taken = 0
        while piece := await asyncio.wait_for(asleep.read(1 << 20), 30):
            taken += len(piece)
        assert taken < 200 * 60_000
        sleeper.close()
        writer.close()

    with served(settings, lake, "127.0.0.1", 0, lambda: None) as url:
        asyncio.run(one_sleeps(ready(url)))


def test_without_the_token_there_are_ids_and_counts_alone(lake: Lake) -> None:
    with Snapshots(lake, memory_limit="512MB", sql_memory_limit="256MB", threads=2) as snapshots:
        app = create_app(snapshots, Access("secret", "key"), local=False)
        TestClient(app, base_url="http://news.example")
        put(lake, [post(2, "dois #covid19")], number=1)
        snapshots.refresh()
        ring: Ring = app.state.ring
        for _ in range(100):
            told = ring.after(0, NONE, full=False)
            if told and told[0]:
                break
        assert told is not None
        assert b"dois" not in told[0]
        assert b"user7" not in told[0]
        assert b'"author_id":"7"' not in told[0]
        assert b"covid19" in told[0]
        full = ring.after(0, NONE, full=True)
        assert full is not None
        assert b"dois" in full[0]
        assert b"user7" in full[0]
