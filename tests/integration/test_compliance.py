"""`bemtevi compliance` against a simulated X: ids up, answers down, over kills and refusals."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from tests.integration.command import Person
from tests.integration.test_deletes import by, id_of, word
from tests.support import consolidate, new_lake, put, rows

from bemtevi.lake.lake import Lake
from bemtevi.lake.tombstone import Origin, Subject, Tombstones
from bemtevi.listen import compliance
from bemtevi.listen.x_compliance import XCompliance, read_answer
from bemtevi.listen.x_patience import Patience
from bemtevi.simulate import RunningX, Simulation, running_x
from bemtevi.warehouse.compliance import StoredIds

TOKEN = "right"  # noqa: S105  the simulator's
PLACE = {"geo": {"place_id": "0123abc"}}


@pytest.fixture(scope="module")
def server() -> Iterator[RunningX]:
    with running_x(Simulation(rate=1, token=TOKEN, compliance_seconds=0.2, enforce_limits=True)) as running:
        yield running


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bemtevi.listen.compliance.FIRST_LOOK_SECONDS", 0.1)
    monkeypatch.setattr("bemtevi.listen.x_patience.RETRY_SECONDS", 0.1)


class Scene:
    """Somebody with six posts of three authors, and the X that is asked about them."""

    def __init__(self, folder: Path, server: RunningX) -> None:
        self.url = server.url
        self.lake: Lake = new_lake(folder)
        self.person = Person(
            folder,
            {"BEMTEVI_X_API_URL": server.url, "BEMTEVI_X_BEARER_TOKEN": TOKEN, "BEMTEVI_ERASE_HOURS": "0"},
        )
        self.posts = [by(str(7 + number % 3), number, f"post {number}", **PLACE) for number in range(6)]
        for line in self.posts:
            line["includes"]["places"] = [{"id": "0123abc", "full_name": "Praia", "country_code": "BR"}]
        put(self.lake, self.posts)
        consolidate(self.lake)

    def tell(self, **told: Any) -> None:
        requests.post(f"{self.url}/simulation/compliance", json=told, timeout=30).raise_for_status()

    def shown(self) -> list[str]:
        consolidate(self.lake)
        return [row["text"] for row in rows(self.lake, "select text from fact_post order by created_at")]


@pytest.fixture
def scene(tmp_path: Path, server: RunningX) -> Iterator[Scene]:
    folder = tmp_path / "place"
    folder.mkdir()
    made = Scene(folder, server)
    yield made
    clear = dict.fromkeys(map(id_of, made.posts), "")
    made.tell(tweets=clear, users=dict.fromkeys("789", ""))
    requests.post(f"{server.url}/simulation/calm", timeout=30)


def check(scene: Scene) -> compliance.ComplianceCheck:
    """A check in this process."""
    x = XCompliance(Patience(TOKEN, scene.url, threading.Event()))
    return compliance.ComplianceCheck(
        scene.lake.local / "x" / "compliance.json", x, StoredIds(scene.lake), lambda _: None
    )


def test_what_x_says_is_obeyed_and_taken_back(scene: Scene) -> None:
    deleted, scrubbed = (id_of(scene.posts[number]) for number in (0, 1))
    scene.tell(tweets={deleted: "deleted", scrubbed: "scrub_geo"}, users={"9": "suspended"})
    said = scene.person.good("compliance")
    assert "X says: 1 authors suspended, 1 posts deleted, 1 posts scrub_geo." in said
    assert not (scene.lake.local / "x" / "compliance.json").exists()
    assert scene.shown() == ["post 1", "post 3", "post 4"]
    places = rows(scene.lake, "select text, place_name from fact_post order by created_at")
    assert [row["place_name"] for row in places] == [None, "Praia", "Praia"]
    told = rows(scene.lake, "select subject, action, origin, reason from tombstone order by 1, 2")
    assert {row["origin"] for row in told} == {"compliance"}
    assert len(told) == 3
    assert "X says" in scene.person.good("compliance"), "asked again"
    assert len(rows(scene.lake, "select 1 from tombstone")) == 3, "what is known is not told again"
    scene.tell(users={"9": ""}, tweets={deleted: ""})
    assert "1 authors back" in scene.person.good("compliance")
    assert scene.shown() == ["post 1", "post 2", "post 3", "post 4", "post 5"], "deleted stays deleted"


def test_what_somebody_asked_to_be_forgotten_does_not_come_back(scene: Scene) -> None:
    scene.person.good("forget", "--author", "8", "--yes")
    consolidate(scene.lake)
    assert "nothing against what is stored" in scene.person.good("compliance")
    assert scene.shown() == ["post 0", "post 2", "post 3", "post 5"]


@pytest.mark.parametrize("point", ["compliance.begun", "compliance.uploaded", "compliance.told"])
def test_a_check_that_is_killed_goes_on(scene: Scene, point: str) -> None:
    scene.tell(tweets={id_of(scene.posts[0]): "deleted"}, users={"9": "protected"})
    before = jobs(scene)
    killed = scene.person.start("compliance", BEMTEVI_CRASH_AT=point)
    killed.communicate(timeout=60)
    assert killed.returncode == -9
    course = (scene.lake.local / "x" / "compliance.json").read_text()
    assert not any(id_of(post) in course for post in scene.posts)
    scene.person.good("compliance")
    assert not (scene.lake.local / "x" / "compliance.json").exists()
    assert jobs(scene) - before == 1, "the job that was begun is used"
    assert scene.shown() == ["post 1", "post 3", "post 4"]
    assert len(rows(scene.lake, "select 1 from tombstone")) == 2


def jobs(scene: Scene) -> int:
    """How many jobs about posts there have been."""
    token = {"Authorization": f"Bearer {TOKEN}"}
    answer = requests.get(f"{scene.url}/2/compliance/jobs?type=tweets", headers=token, timeout=30)
    return int(answer.json()["meta"]["result_count"])


def test_who_does_not_wait_fetches_the_answer_later(tmp_path: Path) -> None:
    folder = tmp_path / "place"
    folder.mkdir()
    with running_x(Simulation(rate=1, token=TOKEN, compliance_seconds=1.5)) as slow:
        scene = Scene(folder, slow)
        scene.tell(tweets={id_of(scene.posts[0]): "deleted"})
        assert "X is not done" in scene.person.good("compliance", "--no-wait", "--only", "posts")
        assert rows(scene.lake, "select 1 from tombstone") == []
        assert "1 posts deleted" in scene.person.good("compliance")
        assert "post 0" not in scene.shown()


def test_a_job_that_fails_is_begun_again(scene: Scene) -> None:
    scene.tell(tweets={id_of(scene.posts[0]): "deleted"}, failing=1)
    sentence = scene.person.run("compliance").sentence(6)
    assert "has failed: the same command begins another one" in sentence
    scene.person.good("compliance")
    assert "post 0" not in scene.shown()


def test_a_rate_limit_is_waited_for(scene: Scene) -> None:
    fault = {"fault": "rate-limit", "of": "compliance", "seconds": 2}
    assert requests.post(f"{scene.url}/simulation/fault", json=fault, timeout=30).ok
    began = datetime.now(UTC)
    scene.person.good("compliance", "--only", "authors")
    assert (datetime.now(UTC) - began).total_seconds() > 1.5
    fired = requests.get(f"{scene.url}/simulation", timeout=30).json()["fired"]
    assert sum(fired.values()) >= 1


def test_many_ids_are_asked_in_several_jobs(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compliance, "MOST_IDS", 2)
    scene.tell(tweets=dict.fromkeys(map(id_of, scene.posts[:3]), "deleted"), users={"9": "deactivated"})
    assert check(scene).run(compliance.KINDS, wait=True)
    assert {row["id"] for row in Tombstones(scene.lake).read().to_pylist()} == {
        *map(id_of, scene.posts[:3]), "9",
    }  # fmt: skip
    scene.tell(users={"9": ""})
    assert check(scene).run(compliance.KINDS, wait=True)
    back = [row["id"] for row in Tombstones(scene.lake).read().to_pylist() if row["action"] == "restore"]
    assert back == ["9"]


def test_the_ids_that_are_asked_about(scene: Scene) -> None:
    Tombstones(scene.lake).note([word(Subject.AUTHOR, "7", origin=Origin.NOTICE)])
    consolidate(scene.lake)
    stored = StoredIds(scene.lake)
    assert stored.ids("users", 0, 1) == ["7", "8", "9"], "who is hidden may come back"
    parts = [stored.ids("tweets", part, 4) for part in range(4)]
    assert sorted(id_ for part in parts for id_ in part) == stored.ids("tweets", 0, 1)
    assert stored.count("tweets") == sum(map(len, parts)) == 4


def test_a_refusal_is_one_sentence(scene: Scene) -> None:
    run = scene.person.run
    wrong = {"BEMTEVI_X_BEARER_TOKEN": "wrong"}
    assert "refuses the token" in run("compliance", **wrong).sentence(3)
    assert "BEMTEVI_X_BEARER_TOKEN" in run("compliance", BEMTEVI_X_BEARER_TOKEN="").sentence(3)
    assert "--only is posts or authors" in run("compliance", "--only", "cats").sentence(2)
    course = scene.lake.local / "x" / "compliance.json"
    course.parent.mkdir(parents=True, exist_ok=True)
    course.write_text("{")
    assert "delete it to begin anew" in run("compliance").sentence(4)


@pytest.mark.parametrize(
    ("line", "read"),
    [
        (b'{"id":"1","reason":"deleted","redacted_at":"2026-01-01T00:00:00Z"}', ("1", "deleted")),
        (b'{"id":"1","action":"delete"}', ("1", "delete")),
        (b'{"id":1,"reason":"suspended","redacted_at":5}', ("1", "suspended")),
    ],
)  # fmt: skip
def test_lines_of_an_answer(line: bytes, read: tuple[str, str]) -> None:
    (found,), unreadable = read_answer(b"\n" + line + b"\n")
    assert ((found.id, found.reason), unreadable) == (read, 0)


@pytest.mark.parametrize("line", [b"{", b"[]", b'{"id":"../x"}', b"\xff", b"<html>", b'{"id":null}'])
def test_lines_that_say_nothing(line: bytes) -> None:
    assert read_answer(line) == ([], 1)


def test_an_answer_that_cannot_be_read_brings_nobody_back(scene: Scene) -> None:
    scene.tell(users={"9": "suspended"})
    assert check(scene).run(("users",), wait=True)
    later = datetime.now(UTC)
    for whole, back in ((False, 0), (True, 1)):
        StoredIds(scene.lake).told("users", 0, 1, [], later, whole=whole)
        rows_ = Tombstones(scene.lake).read().to_pylist()
        assert sum(row["action"] == "restore" for row in rows_) == back
