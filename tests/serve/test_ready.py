"""A server before its first snapshot: it is up at once, and says that it is not ready."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from starlette.testclient import TestClient
from tests.integration.command import Person
from tests.support import consolidate, new_lake, post, put

from bemtevi.serve.api import create_app
from bemtevi.serve.api.guard import Access
from bemtevi.serve.snapshot import Snapshots

USAGE = 2
QUESTIONS = ("/readyz", "/api/v1/status", "/api/v1/hashtags/covid19/summary", "/api/v1/posts", "/api/v1/runs")


def test_it_answers_before_the_tables_are_open_and_says_when_to_ask_again(tmp_path: Path) -> None:
    lake = new_lake(tmp_path)
    put(lake, [post(1, "um #covid19")])
    consolidate(lake)
    failed = threading.Event()
    snapshots = Snapshots(lake, memory_limit="512MB", sql_memory_limit="256MB", threads=1, failed=failed.set)
    client = TestClient(create_app(snapshots, Access(None)), base_url="http://127.0.0.1")
    snapshots._refreshing.acquire()  # whoever has it lets the first snapshot wait
    with snapshots:
        assert client.get("/healthz").status_code == 200
        assert client.get("/metrics").status_code == 200
        assert client.get("/").status_code == 200
        for path in QUESTIONS:
            answer = client.get(path)
            assert answer.status_code == 503, path
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.headers["retry-after"] == "1"
            assert "opened" in answer.json()["detail"]
        answer = client.post("/api/v1/sql", json={"sql": "select 1"})
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        snapshots._refreshing.release()
        deadline = time.monotonic() + 30
        while client.get("/readyz").status_code != 200 and time.monotonic() < deadline:
            time.sleep(0.05)
        for path in QUESTIONS:
            assert client.get(path).status_code == 200, path
    assert not failed.is_set()
    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").json()["detail"] == "The server is ending."


def test_tables_that_cannot_be_opened_end_the_command_with_a_sentence(tmp_path: Path) -> None:
    lake = new_lake(tmp_path, "Asia/Kathmandu")
    put(lake, [post(1, "um #covid19")])
    consolidate(lake)
    person = Person(
        tmp_path, {"BEMTEVI_LAKE": lake.layout.root, "BEMTEVI_JOURNAL": str(tmp_path / "journal")}
    )
    assert "Asia/Kathmandu" in person.run("serve", "--port", "0", "--seconds", "30").sentence(USAGE)
