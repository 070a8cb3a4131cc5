"""What the simulated X does wrong, at will: each fault as a client meets it, and as the record tells it."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import requests
from tests.simulate.test_x import RULES, STREAM, Client
from tests.support import eventually

from bemtevi.errors import UsageError
from bemtevi.simulate import (
    KINDS,
    Recorded,
    Simulation,
    fault_of,
    fault_of_flag,
    read_faults,
    read_record,
    running_x,
)
from bemtevi.simulate.faults import DISCONNECTS, Place


class Faulty(Client):
    """A client that can also ask for faults."""

    def __init__(self, server: Any, record: Path) -> None:
        super().__init__(server)
        self._record = record

    def fault(self, text: str) -> int:
        """Arm a fault written as a flag; its number."""
        fault = fault_of_flag(text)
        body = {"fault": fault.kind, "times": fault.times, "apart": fault.apart, **fault.parameters}
        body |= {"after_posts": fault.after_posts, "after_connects": fault.after_connects}
        answer = requests.post(self.server.url + "/simulation/fault", json=body, timeout=30)
        assert answer.status_code == 202, answer.text
        return int(answer.json()["armed"][0])

    def recorded(self) -> Recorded:
        return read_record(self._record)

    def lines(self, count: int, **parameters: Any) -> list[bytes]:
        """The next lines that are no keep-alives, as bytes, or as many as come before an end."""
        found: list[bytes] = []
        with self.stream(**parameters) as response:
            assert response.status_code == 200, response.text
            rest = b""
            for chunk in response.iter_content(None):
                *whole, rest = (rest + chunk).split(b"\r\n")
                found += [line for line in whole if line]
                if len(found) >= count:
                    break
            else:
                found += [rest] if rest else []
        eventually(lambda: not self.server.world.connections)
        return found

    def ended(self) -> str:
        """How the next connection ends: its last line, or the name of the error."""
        with self.stream() as response:
            assert response.status_code == 200, response.text
            last = b""
            try:
                for chunk in response.iter_content(None):
                    last = (last + chunk)[-200_000:]
            except requests.exceptions.ChunkedEncodingError as error:
                return "reset" if "reset by peer" in str(error) else "abrupt"
        return "" if last.endswith(b"\r\n") or not last else "in a line"


@contextlib.contextmanager
def faulty(tmp_path: Path, **settings: Any) -> Iterator[Faulty]:
    record = tmp_path / "record.jsonl"
    given = {"rate": 1_000, "topics": ("a",), "focus": 1.0, "search_delay": 0, "record": record}
    with running_x(Simulation(**{**given, **settings})) as server:
        client = Faulty(server, record)
        server.world.paused = True  # no post before the rule, however long it takes to come
        with client.session:
            client.add("#a")
            server.world.paused = False
            yield client


@pytest.fixture
def x(tmp_path: Path) -> Iterator[Faulty]:
    with faulty(tmp_path) as client:
        yield client


# --- the script


def test_a_script_is_read(tmp_path: Path) -> None:
    path = tmp_path / "faults.yaml"
    path.write_text(
        "- fault: close\n"
        "- {fault: cut, after_posts: 500, times: 3, apart: 100, at: 10, end: reset}\n"
        "- {fault: stall, after_seconds: 2, seconds: 1.5}\n"
    )
    close, cut, stall = read_faults(path)
    assert (close.kind, close.times, close.after_posts) == ("close", 1, 0)
    assert (cut.after_posts, cut.times, cut.apart, cut["at"], cut["end"]) == (500, 3, 100, 10, "reset")
    assert (stall.after_seconds, stall["seconds"]) == (2.0, 1.5)
    path.write_text("faults:\n- fault: close\n")
    assert read_faults(path) == (close,)
    assert fault_of_flag("cut:after_posts=500,times=3,apart=100,at=10,end=reset") == cut


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("- fault: clse", "'clse' ('close' is)"),
        ("- fault: close\n- 3", "entry 2"),
        ("- fault: close\n  tims: 3", "'tims' ('times' is)"),
        ("- fault: close\n  times: -1", "a whole number of at least 0"),
        ("- fault: close\n  times: 1.5", "a whole number"),
        ("- fault: close\n  times: yes", "a whole number"),
        ("- fault: stall\n  seconds: .nan", "a number of at least 0"),
        ("- fault: stall\n  seconds: soon", "a number of at least 0"),
        ("- fault: cut\n  end: never", "one of close, abrupt, reset"),
        ("fault: close", "no list of faults"),
        ("- fault: [", "no YAML (line 1)"),
        ("\x00", "no YAML"),
    ],
)
def test_a_script_that_is_wrong_is_one_sentence(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "faults.yaml"
    path.write_text(text)
    with pytest.raises(UsageError) as raised:
        read_faults(path)
    assert told in str(raised.value)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("cut:at", "name=value"),
        ("cut:at=x", "whole number"),
        ("", "no fault ''"),
        ("cut:t=1", "takes no 't'"),
    ],
)
def test_a_flag_that_is_wrong_is_one_sentence(text: str, told: str) -> None:
    with pytest.raises(UsageError, match="--fault") as raised:
        fault_of_flag(text)
    assert told in str(raised.value)


def test_a_script_that_is_missing_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_faults(tmp_path / "none.yaml")


def test_faults_fire_after_posts_connects_and_seconds_so_often_and_so_far_apart(tmp_path: Path) -> None:
    script = (
        fault_of({"fault": "close", "after_connects": 3, "after_posts": 100}),
        fault_of({"fault": "duplicate", "times": 3, "apart": 200}),
        fault_of({"fault": "rules-added", "after_seconds": 0.3}),
    )
    with faulty(tmp_path, faults=script) as x:
        x.lines(500)
        x.lines(500)
        assert not x.recorded().fired("close")
        assert x.ended() == ""
        assert [fault.connection for fault in x.recorded().fired("close")] == [3]
        recorded = x.recorded()
        ids = [identity for number in recorded.opened for identity in recorded.delivered.get(number, ())]
        places = [ids.index(fault.more["ids"][0]) for fault in x.recorded().fired("duplicate")]
        assert len(places) == 3
        assert all(later - earlier >= 200 for earlier, later in pairwise(places))
        eventually(lambda: bool(x.recorded().fired("rules-added")))
        assert len(x.get(RULES).json()["data"]) == 2


def test_the_same_seed_cuts_at_the_same_places() -> None:
    from bemtevi.simulate.record import Record
    from bemtevi.simulate.script import Script

    one, other, third = (Script((), Record(None), seed=seed) for seed in (1, 1, 2))
    draws = [[script.chance.randint(1, 10**9) for _ in range(5)] for script in (one, other, third)]
    assert draws[0] == draws[1] != draws[2]


# --- the control endpoint


def test_the_control_endpoint(x: Faulty) -> None:
    url = x.server.url + "/simulation"
    wrong = requests.post(url + "/fault", json=[{"fault": "close"}, {"fault": "clse"}], timeout=30)
    assert wrong.status_code == 400
    assert "fault 2: there is no fault 'clse'" in wrong.json()["detail"]
    assert requests.post(url + "/fault", data=b"{", timeout=30).status_code == 400
    assert requests.get(url, timeout=30).json()["armed"] == []
    number = x.fault("close:after_posts=1000000")
    assert requests.get(url, timeout=30).json()["armed"] == [{"number": number, "fault": "close"}]
    assert requests.post(url + "/calm", timeout=30).json()["armed"] == []
    requests.post(url + "/pause", timeout=30)
    time.sleep(0.1)
    produced = requests.get(url, timeout=30).json()["produced"]
    time.sleep(2)
    assert requests.get(url, timeout=30).json()["produced"] == produced
    before = time.monotonic()
    requests.post(url + "/resume", timeout=30)
    eventually(lambda: requests.get(url, timeout=30).json()["produced"] > produced)
    more = requests.get(url, timeout=30).json()["produced"] - produced
    assert more < 1_000 * (time.monotonic() - before) + 1_000  # the 2,000 of the pause are not made up for


# --- instead of an answer


@pytest.mark.parametrize(
    ("fault", "status", "fields"),
    [
        ("unauthorized", 401, {"title": "Unauthorized"}),
        ("forbidden", 403, {"reason": "client-not-enrolled"}),
        ("forbidden:reason=official-client-forbidden", 403, {"reason": "official-client-forbidden"}),
        ("no-rules", 409, {"connection_issue": "RuleConfigurationIssue"}),
        ("usage-cap:period=Daily,scope=Account", 429, {"period": "Daily", "scope": "Account"}),
        ("no-credits", 402, {"title": "CreditsDepleted"}),
        ("too-many-connections", 429, {"connection_issue": "TooManyConnections"}),
        ("not-provisioned", 503, {"connection_issue": "ProvisioningSubscription"}),
    ],
)
def test_refusals_have_bodies_of_x(x: Faulty, fault: str, status: int, fields: dict[str, str]) -> None:
    number = x.fault(fault)
    with x.stream() as response:
        assert response.status_code == status
        assert fields.items() <= response.json().items()
        assert response.json().get("type")
        assert "x-rate-limit-limit" in response.headers
    assert x.lines(1)
    (fired,) = x.recorded().faults
    assert (fired.number, fired.kind) == (number, fault.partition(":")[0])
    (refused,) = x.recorded().refused
    assert (refused.path, refused.status) == ("stream", status)


def test_a_rate_limit_lasts_until_the_time_it_tells(x: Faulty) -> None:
    x.fault("rate-limit:seconds=1.2")
    with x.stream() as response:
        assert response.status_code == 429
        assert response.headers["x-rate-limit-remaining"] == "0"
        reset = int(response.headers["x-rate-limit-reset"])
    assert 1 < reset - time.time() < 2.3
    with x.stream() as again:
        assert (again.status_code, again.headers["x-rate-limit-reset"]) == (429, str(reset))
    assert x.get(RULES).status_code == 200
    time.sleep(max(0, reset - time.time()))
    assert x.lines(1)
    assert len(x.recorded().refused) == 2


def test_server_errors_and_pages_of_proxies(x: Faulty) -> None:
    x.fault("unavailable:status=502")
    x.fault("html")
    x.fault("redirect")
    x.fault("unavailable:of=search")
    with x.stream() as response:
        assert (response.status_code, response.content) == (502, b"")
    with x.stream() as response:
        assert response.status_code == 200
        assert response.text.startswith("<!DOCTYPE html>")
    moved = x.session.get(x.server.url + STREAM, allow_redirects=False, timeout=30)
    assert (moved.status_code, moved.headers["location"]) == (302, "/portal?from=stream")
    assert x.lines(1)
    assert [x.get("/2/tweets/search/recent", query="#a").status_code for _ in range(2)] == [503, 200]


def test_connections_that_end_before_an_answer(x: Faulty) -> None:
    x.fault("hang-up")
    with pytest.raises(requests.exceptions.ConnectionError), x.stream():
        pass
    x.fault("half-answer")
    with x.stream() as response:  # to many a client that is an empty answer
        assert (response.status_code, response.content) == (200, b"")
    assert x.lines(1)


def test_a_request_that_is_not_answered(x: Faulty) -> None:
    x.fault("mute:seconds=0.5")
    started = time.monotonic()
    with x.stream() as response:
        assert response.status_code == 504
    assert time.monotonic() - started >= 0.5
    x.fault("mute:seconds=30,of=rules")
    with pytest.raises(requests.exceptions.ReadTimeout):
        x.session.get(x.server.url + RULES, timeout=0.3)


# --- a stream that stands


@pytest.mark.parametrize("how", ["close", "abrupt", "reset"])
def test_streams_end(x: Faulty, how: str) -> None:
    x.fault(f"{how}:after_posts=50")
    assert x.ended() == ("" if how == "close" else how)
    eventually(lambda: x.recorded().closed == {1: f"fault: {how}"})
    assert x.lines(1)


@pytest.mark.parametrize("how", ["close", "abrupt"])
def test_a_line_is_cut(x: Faulty, how: str) -> None:
    x.fault(f"cut:after_posts=50,at=100,end={how}")
    with x.stream() as response:
        received = b""
        with contextlib.suppress(requests.exceptions.ChunkedEncodingError):
            for chunk in response.iter_content(None):
                received += chunk
    *lines, fragment = received.split(b"\r\n")
    assert len(fragment) == 100
    ids = [json.loads(line)["data"]["id"] for line in lines if line]
    recorded = x.recorded()
    assert recorded.delivered[1] == ids
    assert recorded.reasons["the line was cut"] == 1
    (cut,) = [identity for identity in recorded.missed if identity.encode() in fragment]
    assert cut not in ids


def test_a_line_is_cut_anywhere_but_never_whole(x: Faulty) -> None:
    x.fault("cut:times=30")
    lengths = set()
    for _ in range(30):
        (fragment,) = x.lines(1)
        lengths.add(len(fragment))
        with pytest.raises(ValueError, match=r".*"):
            json.loads(fragment)
    assert len(lengths) > 15


@pytest.mark.parametrize("kind", DISCONNECTS)
def test_operational_disconnects(x: Faulty, kind: str) -> None:
    x.fault(f"operational-disconnect:after_posts=20,type={kind}")
    last = json.loads(x.lines(10_000)[-1])
    (error,) = last["errors"]
    assert (error["title"], error["disconnect_type"]) == ("operational-disconnect", kind)
    assert list(x.recorded().messages) == [error["value"]]


def test_a_stall_is_silence_and_the_posts_come_later(tmp_path: Path) -> None:
    with faulty(tmp_path, keep_alive=0.2) as x:
        x.fault("stall:after_posts=50,seconds=1")
        longest, before, received = 0.0, time.monotonic(), 0
        with x.stream() as response:
            for chunk in response.iter_content(None):
                longest = max(longest, time.monotonic() - before)
                before = time.monotonic()
                received += chunk.count(b"\r\n")
                if received > 500:
                    break
    assert 0.9 < longest < 3
    assert not x.recorded().reasons["fault: stall"]


def test_a_trickle_is_slow(x: Faulty) -> None:
    x.fault("trickle:seconds=600,bytes_a_second=1000")
    started, size = time.monotonic(), 0
    with x.stream() as response:
        for chunk in response.iter_content(None):
            size += len(chunk)
            if size >= 1_000:
                break
    assert time.monotonic() - started > 0.8


def test_nobody_listens_at_the_port_for_a_while(x: Faulty) -> None:
    x.fault("away:seconds=0.6,after_posts=50")
    assert x.ended() in ("abrupt", "reset")
    with pytest.raises(requests.exceptions.ConnectionError):
        x.session.get(x.server.url + RULES, timeout=30)
    time.sleep(0.8)
    assert x.lines(1)
    assert x.recorded().closed[1] == "fault: away"
    assert x.recorded().reasons["nobody was connected"] > 100


# --- bytes


def chunks_of(x: Faulty, count: int) -> list[bytes]:
    found: list[bytes] = []
    with x.stream() as response:
        for chunk in response.iter_content(None):
            found.append(chunk)
            if len(found) == count:
                break
    return found


def test_line_ends_come_apart(x: Faulty) -> None:
    x.fault("split-line-ends:times=0")
    chunks = chunks_of(x, 40)
    assert not any(b"\r\n" in chunk for chunk in chunks)
    lines = b"".join(chunks).split(b"\r\n")[:-1]
    assert len(lines) > 10
    assert [json.loads(line)["data"]["id"] for line in lines] == x.recorded().ids[: len(lines)]


def test_pieces_anywhere(x: Faulty) -> None:
    x.fault("shred:times=0,bytes=7")
    chunks = chunks_of(x, 400)
    assert max(map(len, chunks)) <= 7
    lines = b"".join(chunks).split(b"\r\n")[:-1]
    assert [json.loads(line)["data"]["id"] for line in lines] == x.recorded().ids[: len(lines)]


# --- lines


def test_duplicates_and_reordering_are_in_the_record_as_on_the_wire(x: Faulty) -> None:
    x.fault("duplicate:times=5,apart=10")
    x.fault("reorder:times=20,apart=10")
    ids = [json.loads(line)["data"]["id"] for line in x.lines(800)]
    assert x.recorded().ids[: len(ids)] == ids
    assert len(ids) - len(set(ids)) == 5
    falling = sum(int(one) > int(other) for one, other in pairwise(ids))
    assert falling >= 1


LINE_FAULTS = [name for name, kind in KINDS.items() if kind.place is Place.LINE]


@pytest.mark.parametrize("fault", [name for name in LINE_FAULTS if name not in ("duplicate", "reorder")])
def test_lines_in_another_form(x: Faulty, fault: str) -> None:
    number = x.fault(f"{fault}:times=3,apart=30")
    parameters = {"tweet.fields": "created_at,entities,referenced_tweets,public_metrics"}
    lines = x.lines(200, expansions="referenced_tweets.id,author_id", **parameters)
    recorded = x.recorded()
    fired = recorded.fired(fault)
    assert [one.number for one in fired] == [number] * 3
    delivered = set(recorded.ids)
    for one in fired:
        (identity,) = one.more["ids"]
        assert identity in delivered
        (line,) = [line for line in lines if _id(line) == identity]
        check(fault, line)
    named = [line for line in lines if any(name.encode() in line for name in recorded.messages)]
    assert len(named) == len(recorded.messages)


def _id(line: bytes) -> str | None:
    with contextlib.suppress(ValueError, RecursionError):
        data = json.loads(line.decode(errors="replace")).get("data")
        return str(data["id"]) if data else None
    return None


def check(fault: str, line: bytes) -> None:
    """That a line is as its fault says."""
    if fault == "invalid-utf8":
        with pytest.raises(UnicodeDecodeError):
            line.decode()
        return
    message = json.loads(line)
    data, rules = message["data"], message.get("matching_rules")
    expected: dict[str, Callable[[], bool]] = {
        "no-tag": lambda: all(set(rule) == {"id"} for rule in rules),
        "no-matching-rules": lambda: rules is None,
        "numeric-rule-ids": lambda: all(isinstance(rule["id"], int) for rule in rules),
        "unknown-fields": lambda: (
            "grok" in message and "grok" in data and all("grok" in rule for rule in rules)
        ),
        "few-fields": lambda: set(data) == {"id", "text"} and "includes" not in message,
        "many-fields": lambda: {"conversation_id", "edit_controls", "lang"} <= set(data),
        "null-fields": lambda: data["entities"] is None and message["includes"] is None,
        "new-names": lambda: "tweets" not in message.get("includes", {}) and "edit_history_post_ids" in data,
        "partial-errors": lambda: message["errors"][0]["title"] == "Not Found Error",
        "odd-characters": lambda: "\ud83d \x00 \udc00" in data["text"],
        "large": lambda: 60_000 < len(line) < 70_000,
    }
    assert expected.get(fault, lambda: True)()


# --- behind the client's back


def test_rules_are_deleted_behind_the_clients_back(x: Faulty) -> None:
    x.fault("rules-deleted:after_posts=50")
    x.lines(50)
    eventually(lambda: "data" not in x.get(RULES).json())
    eventually(lambda: x.recorded().reasons["the rule was deleted"] > 50)
    with x.stream() as response:
        assert response.status_code == 409
    x.add("#a")
    withheld = x.recorded().reasons["the rule was deleted"]
    x.lines(50)
    assert x.recorded().reasons["the rule was deleted"] == withheld
    recorded = x.recorded()
    assert not set(recorded.missed) & set(recorded.ids)


def test_rules_are_added_behind_the_clients_back(x: Faulty) -> None:
    x.fault("rules-added:value=#b,tag=theirs")
    eventually(lambda: len(x.get(RULES).json()["data"]) == 2)
    assert x.get(RULES).json()["data"][1]["tag"] == "theirs"
    counts = x.get(RULES + "/counts").json()["data"]
    assert (counts["project_rules_count"], counts["client_app_rules_count"]["rule_count"]) == ("2", 2)


def test_a_stale_connection_stands_in_the_way_until_it_is_deleted(x: Faulty) -> None:
    x.fault("stale-connection")
    eventually(lambda: bool(x.server.world.stale))
    with x.stream() as response:
        assert response.status_code == 429
        assert response.json()["connection_issue"] == "TooManyConnections"
    (active,) = x.get("/2/connections").json()["data"]
    body = {"uuids": [active["id"]]}
    killed = x.session.delete(x.server.url + "/2/connections", json=body, timeout=30).json()["data"]
    assert killed["successful_kills"] == 1
    assert x.get("/2/connections", status="inactive").json()["data"][0]["id"] == active["id"]
    assert x.lines(1)
    x.fault("stale-connection:seconds=0.3")
    eventually(lambda: bool(x.server.world.stale))
    time.sleep(0.4)
    assert x.lines(1)


# --- limits


def test_the_quota_of_connects_has_a_window(tmp_path: Path) -> None:
    with faulty(tmp_path, enforce_limits=True, limit_window=2.0, rate=100) as x:
        statuses = []
        for _ in range(52):
            with x.stream() as response:
                statuses.append(response.status_code)
                reset = int(response.headers["x-rate-limit-reset"])
            if response.status_code == 200:
                eventually(lambda: not x.server.world.connections)
        assert statuses == [200] * 50 + [429] * 2
        time.sleep(max(0.0, reset - time.time()))
        assert x.lines(1)
        assert [one.why for one in x.recorded().refused] == ["Too Many Requests"] * 2


# --- the record


@pytest.mark.parametrize("theirs", [False, True], ids=["our-rules", "and-a-rule-of-another-program"])
def test_the_record_tells_what_search_cannot_find(tmp_path: Path, theirs: bool) -> None:
    """A client searches for its own rules: what only another program's rule matches, it cannot miss."""
    with faulty(tmp_path, limit=2_000, focus=0.5) as x:
        if theirs:
            x.fault("rules-added:value=que OR the")
            eventually(lambda: len(x.get(RULES).json()["data"]) == 2)
        x.lines(100)
        eventually(lambda: x.server.world.exhausted)
        recorded = x.recorded()
        found: set[str] = set()
        parameters: dict[str, Any] = {"query": "#a", "max_results": 100}
        while True:
            page = x.get("/2/tweets/search/recent", **parameters).json()
            found |= {post["id"] for post in page.get("data", ())}
            if "next_token" not in page["meta"]:
                break
            parameters["next_token"] = page["meta"]["next_token"]
    everything = {*recorded.ids, *recorded.missed}
    assert len(recorded.hidden) > 100
    assert recorded.hidden <= everything
    assert everything - recorded.hidden == found & everything


def test_a_record_of_ids_only(tmp_path: Path) -> None:
    with faulty(tmp_path, record_ids_only=True) as x:
        x.lines(100)
        assert not x.recorded().hidden
        assert x.recorded().ids


def test_a_client_that_resets_is_recorded(x: Faulty) -> None:
    host, _, port = x.server.url.removeprefix("http://").partition(":")
    request = f"GET {STREAM} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer any\r\n\r\n"
    with socket.create_connection((host, int(port))) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.sendall(request.encode())
        assert sock.recv(100)
    eventually(lambda: x.recorded().closed == {1: "client"})
