"""The listener against a simulated X: all that is delivered is in layer 1, once, and it stops when told."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
from structlog.testing import capture_logs
from tests.support import eventually, once_wrong

from bemtevi.errors import MissingCredentialError, UsageError
from bemtevi.lake.lake import Lake
from bemtevi.lake.raw import QUARANTINE, RAW
from bemtevi.lake.track import TrackedRule, change_rules, rule_tag
from bemtevi.listen.follow import Following
from bemtevi.listen.listener import Listener
from bemtevi.listen.x import X
from bemtevi.listen.x_search import XSearch
from bemtevi.settings import load_settings
from bemtevi.simulate import RunningX, Simulation, read_record, running_x

STOP_SECONDS = 2.0
RULES = "/2/tweets/search/stream/rules"


def all_sent(server: RunningX) -> bool:
    """Whether there is nothing more to come: then the record is whole."""
    world = server.world
    return world.exhausted and not any(one.queue for one in list(world.connections.values()))


class Listening:
    """A listener in the background, over a lake of its own."""

    def __init__(
        self,
        folder: Path,
        url: str,
        *rules: str,
        token: str = "any",  # noqa: S107
        silence_seconds: float = 22.0,
        search: bool = False,
        **settings: object,
    ) -> None:
        self.settings = load_settings(
            lake=str(folder / "lake"),
            journal=folder / "journal",
            fsync_seconds=0.01,
            segment_seconds=0.3,
            x_api_url=url,
            silence_seconds=silence_seconds,
            **settings,
        )
        self.lake = Lake.of(self.settings)
        self.follow(*rules)
        self.network = X(token, url, silence_seconds=silence_seconds)
        self.listener = Listener(
            self.settings, self.lake, self.network, search=XSearch(token, url) if search else None
        )
        self.whole: bool | None = None
        self.failure: BaseException | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def follow(self, *add: str, remove: tuple[str, ...] = ()) -> None:
        change_rules(self.lake, "x", add=add, remove=remove, now=datetime.now(UTC))

    def _run(self) -> None:
        try:
            self.whole = self.listener.run(self._stop)
        except BaseException as error:  # noqa: BLE001  the test looks at it
            self.failure = error

    def start(self) -> Listening:
        self._thread.start()
        return self

    def stop(self) -> float:
        """How long it took."""
        started = time.monotonic()
        self._stop.set()
        self._thread.join(10)
        assert not self._thread.is_alive()
        return time.monotonic() - started

    def ended(self) -> bool:
        return not self._thread.is_alive()

    def received(self) -> Counter[str]:
        return Counter(self.lake.table(RAW).read()["key"].to_pylist())

    def has(self, number: int) -> Callable[[], bool]:
        return lambda: self.listener.acknowledged >= number


@contextlib.contextmanager
def listening(
    folder: Path,
    server: RunningX | str,
    *rules: str,
    token: str = "any",  # noqa: S107
) -> Iterator[Listening]:
    url = server if isinstance(server, str) else server.url
    one = Listening(folder, url, *(rules or ("#covid19",)), token=token).start()
    try:
        yield one
    finally:
        one.stop()


def simulation(tmp_path: Path, **settings: object) -> Simulation:
    defaults = {"topics": ("covid19", "vacina"), "rate": 2_000.0, "pool": 200, "record": tmp_path / "record"}
    return Simulation(**{**defaults, **settings})  # type: ignore[arg-type]


def test_all_that_was_delivered_is_in_raw_once(tmp_path: Path) -> None:
    with (
        running_x(simulation(tmp_path, limit=4_000)) as server,
        listening(tmp_path, server, "#covid19", "#vacina lang:pt") as one,
    ):
        eventually(lambda: all_sent(server))
        delivered = read_record(tmp_path / "record").ids
        assert len(delivered) > 500
        eventually(one.has(len(delivered)))
        eventually(lambda: one.lake.table(RAW).version() > 1)  # while it listens
        one.stop()
    assert one.failure is None
    assert one.whole is True
    assert one.received() == Counter(delivered)
    raw = one.lake.table(RAW).read()
    assert set(raw["path"].to_pylist()) == {"stream"}
    assert sorted(raw["sequence"].to_pylist()) == list(range(len(delivered)))
    tags = {tag for matched in raw["matched"].to_pylist() for tag in matched}
    assert tags == {rule_tag("x", "#covid19"), rule_tag("x", "#vacina lang:pt")}
    assert not list((tmp_path / "journal").rglob("*.segment"))
    assert one.lake.table(QUARANTINE).read().num_rows == 0


def test_what_waits_from_an_earlier_time_is_written_first(tmp_path: Path) -> None:
    with running_x(simulation(tmp_path, limit=3_000)) as server:
        for _ in range(3):
            with listening(tmp_path, server) as one:
                eventually(one.has(50))
        eventually(lambda: server.world.exhausted)
    received = one.received()
    assert set(received.values()) == {1}
    recorded = read_record(tmp_path / "record")
    for ids in recorded.delivered.values():
        heard = [identity for identity in ids if identity in received]
        assert heard == ids[: len(heard)]  # only what died on the way at the end is not there
        assert len(heard) >= 50


# --- stopping


def test_it_stops_while_posts_stream_in(tmp_path: Path) -> None:
    with running_x(simulation(tmp_path, rate=0)) as server, listening(tmp_path, server) as one:
        eventually(one.has(5_000))
        assert one.stop() < STOP_SECONDS
        assert one.failure is None


def test_it_stops_while_nothing_comes(tmp_path: Path) -> None:
    with (
        running_x(simulation(tmp_path, rate=1)) as server,
        listening(tmp_path, server, "#nadadisso") as one,
    ):
        eventually(lambda: bool(server.world.connections))
        time.sleep(0.2)
        assert one.stop() < STOP_SECONDS
        assert (one.failure, one.whole) == (None, True)


def test_it_stops_while_it_waits_to_connect_again(tmp_path: Path) -> None:
    with running_x(simulation(tmp_path)) as server:
        one = Listening(tmp_path, server.url, "#covid19").start()
        eventually(one.has(10))
    eventually(lambda: one.listener.status.state.startswith("waiting") and one.listener.status.connects > 5)
    assert one.stop() < STOP_SECONDS
    assert one.failure is None


def test_it_stops_while_the_server_does_not_answer(tmp_path: Path) -> None:
    with running_x(simulation(tmp_path)) as server:
        one = Listening(tmp_path, server.url, "#covid19").start()
        eventually(one.has(10))
    address = urlsplit(server.url)
    with socket.create_server((str(address.hostname), int(address.port or 0))) as mute:
        accepted, _ = mute.accept()
        time.sleep(0.2)
        assert one.stop() < STOP_SECONDS
        accepted.close()
    assert one.failure is None


# --- the list of what is followed


def rules_at(server: RunningX) -> dict[str, str]:
    body = requests.get(server.url + RULES, headers={"Authorization": "Bearer any"}, timeout=30).json()
    return {rule["value"]: rule.get("tag", "") for rule in body.get("data", [])}


def give(server: RunningX, **rules: str) -> None:
    add = [{"value": value, "tag": tag} for value, tag in rules.items()]
    answer = requests.post(
        server.url + RULES, json={"add": add}, headers={"Authorization": "Bearer any"}, timeout=30
    )
    assert answer.status_code == 201


def tracked(*values: str) -> list[TrackedRule]:
    return [TrackedRule("x", value, rule_tag("x", value), datetime.now(UTC)) for value in values]


def test_changes_of_the_list_take_effect_while_it_listens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bemtevi.listen.follow.WATCH_SECONDS", 0.1)
    with running_x(simulation(tmp_path)) as server, listening(tmp_path, server) as one:
        eventually(one.has(10))
        one.follow("#vacina", remove=("#covid19",))
        eventually(lambda: rules_at(server) == {"#vacina": rule_tag("x", "#vacina")})
        before = one.listener.acknowledged
        eventually(lambda: one.listener.acknowledged > before)
        one.follow(remove=("#vacina",))  # the last one: the server must not go on with it
        eventually(lambda: rules_at(server) == {})
        one.follow("#covid19")
        eventually(lambda: list(rules_at(server)) == ["#covid19"])
        assert one.listener.status.connects == 1
        one.stop()
        assert one.failure is None


def test_a_rule_that_x_refuses_while_it_listens_is_told_once_and_the_stream_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bemtevi.listen.follow.WATCH_SECONDS", 0.1)
    with (
        capture_logs() as logs,
        running_x(simulation(tmp_path)) as server,
        listening(tmp_path, server) as one,
    ):
        eventually(one.has(10))
        one.follow("lang:pt", "#vacina")
        eventually(lambda: any(entry["event"] == "listener.rule_refused" for entry in logs))
        assert set(rules_at(server)) == {"#covid19", "#vacina"}  # the good one is followed
        before = one.listener.acknowledged
        time.sleep(0.5)
        eventually(lambda: one.listener.acknowledged > before)
    assert one.failure is None
    (told,) = [entry for entry in logs if entry["event"] == "listener.rule_refused"]
    assert (told["rule"], told["log_level"]) == ("lang:pt", "error")
    assert "standalone" in told["reason"]


def test_an_x_that_is_away_at_the_first_start_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bemtevi.listen.listener.RULES_SECONDS", 0.3)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = int(taken.getsockname()[1])
    with capture_logs() as logs:
        one = Listening(tmp_path, f"http://127.0.0.1:{port}", "#covid19").start()
        eventually(lambda: any(entry["event"] == "listener.rules_not_synced" for entry in logs))
        with running_x(simulation(tmp_path, keep_alive=0.1), port=port):
            eventually(one.has(10))
            one.stop()
    assert one.failure is None


def test_a_mistake_of_ours_does_not_end_the_looking_after_rules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bemtevi.listen.follow.WATCH_SECONDS", 0.1)
    monkeypatch.setattr("bemtevi.listen.follow.RULES_RETRY_SECONDS", 0.3)
    with capture_logs() as logs, running_x(simulation(tmp_path, keep_alive=0.1)) as server:
        one = Listening(tmp_path, server.url, "#covid19").start()
        eventually(one.has(10))
        monkeypatch.setattr(Following, "sync", once_wrong(Following.sync))
        one.follow("#vacina")
        eventually(lambda: set(rules_at(server)) == {"#covid19", "#vacina"})
        one.stop()
    (told,) = [entry for entry in logs if entry["event"] == "listener.rules_failed"]
    assert (told["kind"], told["log_level"]) == ("RuntimeError", "error")


def test_a_change_that_could_not_be_told_to_x_is_told_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bemtevi.listen.follow.WATCH_SECONDS", 0.1)
    monkeypatch.setattr("bemtevi.listen.follow.RULES_RETRY_SECONDS", 0.3)
    with capture_logs() as logs:
        with running_x(simulation(tmp_path, keep_alive=0.1)) as server:
            one = Listening(tmp_path, server.url, "#covid19").start()
            eventually(one.has(10))
        one.follow("#vacina")
        eventually(lambda: any(entry["event"] == "listener.rules_not_synced" for entry in logs))
        with running_x(simulation(tmp_path), port=urlsplit(server.url).port or 0) as again:
            give(
                again, **{"#covid19": rule_tag("x", "#covid19")}
            )  # so that connecting alone tells it nothing
            eventually(lambda: set(rules_at(again)) == {"#covid19", "#vacina"})
            one.stop()
    assert one.failure is None


def test_stale_rules_of_ours_go_and_foreign_ones_stay_and_are_told(tmp_path: Path) -> None:
    with running_x(simulation(tmp_path)) as server:
        give(server, **{"#old": rule_tag("x", "#old"), "#a": "somebody's", "#b": "", "#moved": "bemtevi:0"})
        network = X("any", server.url)
        result = network.sync(tracked("#covid19", "#moved"))
        assert (set(result.added), set(result.removed), result.foreign) == (
            {"#covid19", "#moved"},
            {"#old", "#moved"},
            2,
        )
        ours = {value: rule_tag("x", value) for value in ("#covid19", "#moved")}
        assert rules_at(server) == {"#a": "somebody's", "#b": "", **ours}
        again = network.sync(tracked("#covid19", "#moved"))
        assert (again.added, again.removed, again.foreign) == ((), (), 2)


def test_a_rule_that_is_there_already_is_no_error(tmp_path: Path) -> None:
    with running_x(simulation(tmp_path)) as server:
        give(server, **{"#covid19": "somebody's"})
        result = X("any", server.url).sync(tracked("#covid19", "#twice", "#twice"))
        assert result.foreign == 1
        assert rules_at(server) == {"#covid19": "somebody's", "#twice": rule_tag("x", "#twice")}


def test_more_rules_than_fit_one_call(tmp_path: Path) -> None:
    with running_x(simulation(tmp_path)) as server:
        network = X("any", server.url)
        network.sync(tracked(*(f"#tag{number}" for number in range(230))))
        assert len(rules_at(server)) == 230
        result = network.sync(tracked("#tag7"))
        assert (len(result.removed), list(rules_at(server))) == (229, ["#tag7"])


def test_a_rule_that_x_refuses_at_the_start_stops_none_of_the_others(tmp_path: Path) -> None:
    with (
        capture_logs() as logs,
        running_x(simulation(tmp_path)) as server,
        listening(tmp_path, server, "#covid19", "lang:pt") as one,
    ):
        eventually(one.has(10))
    assert one.failure is None
    assert [entry["rule"] for entry in logs if entry["event"] == "listener.rule_refused"] == ["lang:pt"]


def test_rules_that_x_refuses_one_and_all_are_one_sentence(tmp_path: Path) -> None:
    with running_x(simulation(tmp_path)) as server, listening(tmp_path, server, "lang:pt") as one:
        eventually(one.ended)
    assert isinstance(one.failure, UsageError)
    assert "'lang:pt'" in str(one.failure)
    assert "track --remove" in str(one.failure)


def test_nothing_followed_is_one_sentence(tmp_path: Path) -> None:
    one = Listening(tmp_path, "http://127.0.0.1:9").start()
    eventually(one.ended)
    assert isinstance(one.failure, UsageError)


# --- refusals and absences


def test_a_wrong_token_is_one_sentence(tmp_path: Path) -> None:
    with (
        running_x(simulation(tmp_path, token="right")) as server,  # noqa: S106
        listening(tmp_path, server, token="wrong") as one,  # noqa: S106
    ):
        eventually(one.ended)
    assert isinstance(one.failure, MissingCredentialError)
    assert "BEMTEVI_X_BEARER_TOKEN" in str(one.failure)
    assert "wrong" not in str(one.failure)


def test_a_token_that_is_withdrawn_while_it_listens_ends_it(tmp_path: Path) -> None:
    with running_x(simulation(tmp_path)) as server:
        one = Listening(tmp_path, server.url, "#covid19").start()
        eventually(one.has(10))
    with running_x(simulation(tmp_path, token="new"), port=urlsplit(server.url).port or 0):  # noqa: S106
        eventually(one.ended)
    assert isinstance(one.failure, MissingCredentialError)
    assert sum(one.received().values()) == one.listener.acknowledged  # what had come is kept


def test_a_server_that_cannot_be_reached_is_waited_for(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    with capture_logs() as logs:
        one = Listening(tmp_path, url, "#covid19").start()
        eventually(lambda: any(entry["event"] == "listener.rules_not_synced" for entry in logs))
        one.stop()
    told = next(entry for entry in logs if entry["event"] == "listener.rules_not_synced")
    assert "BEMTEVI_X_API_URL" in told["error"]
    assert one.failure is None


def test_a_server_that_goes_away_and_comes_back(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    with running_x(simulation(tmp_path, record=first)) as server:
        one = Listening(tmp_path, server.url, "#covid19").start()
        eventually(one.has(300))
    eventually(lambda: one.listener.status.connects > 2)
    with running_x(
        simulation(tmp_path, record=second, limit=6_000, seed=1), port=urlsplit(server.url).port or 0
    ) as again:
        eventually(lambda: all_sent(again))  # it knows no rules at first: they are given again
        delivered = read_record(second).ids
        assert len(delivered) > 100
        before = read_record(first).ids
        eventually(one.has(300 + len(delivered)))
        one.stop()
    assert one.failure is None
    received = one.received()
    assert set(received.values()) == {1}
    assert set(delivered) <= set(received)
    heard = [identity for identity in before if identity in received]
    assert heard == before[: len(heard)]  # only what died on the way at the end is not there
    assert set(received) >= {*heard, *delivered}  # and what search brought of the time between


def test_a_lake_that_goes_away_and_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bemtevi.listen.writer.RETRY_SECONDS", (0.1,))
    monkeypatch.setattr("bemtevi.listen.follow.WATCH_SECONDS", 0.1)
    lake, away = tmp_path / "lake", tmp_path / "away"
    with (
        capture_logs() as logs,
        running_x(simulation(tmp_path, limit=6_000)) as server,
        listening(tmp_path, server) as one,
    ):
        eventually(lambda: one.lake.table(RAW).version() > 0)
        lake.rename(away)
        lake.write_text("in the way")
        here = one.listener.acknowledged
        eventually(lambda: any(entry["event"] == "writer.storage_away" for entry in logs))
        eventually(one.has(here + 300))  # the stream goes on
        assert one.listener.status.connects == 1
        assert list(rules_at(server)) == ["#covid19"]
        eventually(lambda: len(list((tmp_path / "journal").rglob("*.segment"))) > 1)
        lake.unlink()
        away.rename(lake)
        eventually(lambda: all_sent(server))
        delivered = read_record(tmp_path / "record").ids
        eventually(one.has(len(delivered)))
        eventually(lambda: not list((tmp_path / "journal").rglob("*.segment")))
        one.stop()
    assert (one.failure, one.whole) == (None, True)
    assert one.received() == Counter(delivered)
    # that the list cannot be read meanwhile may be told; it must not be taken for an empty list
    assert not any("Nothing is followed" in entry.get("error", "") for entry in logs)


def test_it_stops_while_the_lake_is_away_and_the_next_start_writes_what_waits(tmp_path: Path) -> None:
    lake, away = tmp_path / "lake", tmp_path / "away"
    with running_x(simulation(tmp_path)) as server:
        with listening(tmp_path, server) as one:
            eventually(lambda: one.lake.table(RAW).version() > 0)
            lake.rename(away)
            lake.write_text("in the way")
            eventually(one.has(one.listener.acknowledged + 200))
            assert one.stop() < STOP_SECONDS
            assert (one.failure, one.whole) == (None, False)
        lake.unlink()
        away.rename(lake)
        with listening(tmp_path, server) as two:
            eventually(two.has(10))
    received = two.received()
    assert set(received.values()) == {1}
    assert sum(received.values()) == one.listener.acknowledged + two.listener.acknowledged
