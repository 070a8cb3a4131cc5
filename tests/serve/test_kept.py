"""What is kept of answers: one works a question out, and the others of the same moment wait for it."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from starlette.responses import Response
from starlette.testclient import TestClient

from bemtevi.errors import UsageError
from bemtevi.serve.api import create_app
from bemtevi.serve.api.answering import PLACES
from bemtevi.serve.api.guard import Access
from bemtevi.serve.api.kept import KeptAnswers
from bemtevi.serve.snapshot import Snapshots


def test_what_many_ask_at_once_is_worked_out_once() -> None:
    kept = KeptAnswers(10)
    worked: list[int] = []
    begun = threading.Event()

    def work_out() -> Response:
        worked.append(1)
        begun.set()
        time.sleep(0.2)
        return Response(b"answer", headers={"etag": '"a"'})

    with ThreadPoolExecutor(20) as pool:
        asked = [pool.submit(kept.get, "a", work_out) for _ in range(20)]
        assert {one.result().body for one in asked} == {b"answer"}
    assert kept.get("a", work_out).body == b"answer"
    assert len(worked) == 1


def test_a_failure_is_told_to_all_and_not_kept() -> None:
    kept = KeptAnswers(10)

    def fail() -> Response:
        time.sleep(0.1)
        raise UsageError("wrong")

    with ThreadPoolExecutor(5) as pool:
        for one in [pool.submit(kept.get, "a", fail) for _ in range(5)]:
            with pytest.raises(UsageError):
                one.result()
    assert kept.get("a", lambda: Response(b"now")).body == b"now"


def test_no_more_is_kept_than_fits() -> None:
    kept = KeptAnswers(10)
    large = b"x" * (4 << 20)
    worked: list[str] = []

    def asked(name: str) -> None:
        def work_out() -> Response:
            worked.append(name)
            return Response(large, headers={"etag": f'"{name}"'})

        kept.get(name, work_out)

    for number in range(20):
        asked(str(number))
    asked("19")
    assert len(worked) == 20
    asked("0")
    assert len(worked) == 21


def test_what_is_known_waits_for_no_thread(snapshots: Snapshots) -> None:
    """More questions wait for a place than there are threads: the others are answered all the same."""
    app = create_app(snapshots, Access(None))
    places = app.state.answering._places
    asked = "/api/v1/hashtags/covid19/types?from=2026-01-01&to="
    with TestClient(app, base_url="http://127.0.0.1") as client, ThreadPoolExecutor(60) as pool:
        assert client.get(f"{asked}2026-01-02").status_code == 200
        for _ in range(PLACES):
            places.acquire()
        try:
            waiting = [
                pool.submit(client.get, f"{asked}2026-02-01T00:{minute:02}:00Z") for minute in range(60)
            ]
            time.sleep(0.5)  # they have come
            for known in (f"{asked}2026-01-02", "/healthz", "/readyz"):
                assert client.get(known).status_code == 200
            assert not any(one.done() for one in waiting)
        finally:
            places.release(PLACES)
        assert {one.result().status_code for one in waiting} <= {200, 503}
