"""What is kept of answers: one works a question out, and the others of the same moment wait for it."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from starlette.responses import Response

from bemtevi.errors import UsageError
from bemtevi.serve.api.kept import KeptAnswers


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
