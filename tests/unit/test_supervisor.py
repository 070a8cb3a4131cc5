"""The supervisor on a simulated clock, before a network that does what a script says."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.support import new_lake

from bemtevi.errors import BemteviError, MissingCredentialError, NetworkError
from bemtevi.lake.gap import Cause, Gap, State, read_gaps
from bemtevi.lake.lake import Lake
from bemtevi.lake.layout import JournalLayout
from bemtevi.lake.track import TrackedRule, change_rules
from bemtevi.listen.follow import SETTLE, Following
from bemtevi.listen.intake import Intake
from bemtevi.listen.journal import Journal, Limits
from bemtevi.listen.ledger import Ledger
from bemtevi.listen.message import Origin
from bemtevi.listen.network import End, Outcome, SyncResult
from bemtevi.listen.schedule import CONNECTS, WINDOW_SECONDS, Schedule
from bemtevi.listen.supervisor import Hold, Supervisor, Times, _moment

START = 1_795_521_600.0  # 2026-11-24 12:00 UTC
HOUR = 3_600.0


@dataclass
class World:
    """Time that passes when somebody waits, and a network."""

    now: float = START
    end: float = START + HOUR
    stop: threading.Event = field(default_factory=threading.Event)

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        self.now += seconds
        if self.now >= self.end:
            stop.set()
        return stop.is_set()


Play = Callable[[World, Intake, Callable[[], None]], Outcome]


class Scripted:
    """A network whose connections are plays."""

    name = "x"

    def __init__(self, world: World, plays: Iterator[Play]) -> None:
        self.world = world
        self.plays = plays
        self.connects: list[float] = []
        self.freed: list[Sequence[float]] = []
        self.free_answer = 0
        self.dropped = 0
        self.brought = 0
        self.synced = 0

    def origin(self, session: str) -> Origin:
        return Origin("x", "host", "stream", session)

    def sync(
        self,
        rules: list[TrackedRule],
        percent: int = 100,  # noqa: ARG002  the contract
        giving: Callable[[Sequence[str]], None] = lambda _: None,  # noqa: ARG002  the contract
    ) -> SyncResult:
        self.synced += 1
        return SyncResult(tuple(rule.value for rule in rules) if self.synced == 1 else ())

    def connect(self, intake: Intake, connected: Callable[[], None]) -> Outcome:
        self.connects.append(self.world.now)
        self.brought = 0
        return next(self.plays)(self.world, intake, connected)

    def heard(self) -> int:
        return self.brought

    def latest(self) -> float | None:
        return None

    def free(self, connects: Sequence[float]) -> int:
        self.freed.append(connects)
        return self.free_answer

    def drop(self) -> None:
        self.dropped += 1

    def stop(self) -> None:
        raise AssertionError


@dataclass
class Stage:
    """All of a listener but its threads."""

    world: World
    lake: Lake
    network: Scripted
    journal: Journal
    ledger: Ledger
    supervisor: Supervisor

    def run(self) -> BaseException | None:
        try:
            self.supervisor.run(self.world.stop)
        except BemteviError as error:
            return error
        self.supervisor.finish()
        return None

    def gaps(self) -> list[Gap]:
        self.ledger.push()
        return [gap for gap in read_gaps(self.lake) if not gap.rules]


Staged = Callable[..., Stage]


@pytest.fixture
def staged(tmp_path: Path) -> Iterator[Staged]:
    """Sets the stage; a second time, it is what the first has left."""
    journals: list[Journal] = []

    def one(
        plays: Iterator[Play], world: World | None = None, guard: Callable[[], Hold | None] | None = None
    ) -> Stage:
        for journal in journals:
            journal.close()
            journal.release()
        world = world or World()
        lake = new_lake(tmp_path)
        layout = JournalLayout(tmp_path / "journal", "x")
        journal = Journal(layout, lake.layout.table(1, ""), Limits(0.01, 1 << 30, HOUR))
        journals[:] = [journal]
        journal.start(-1)
        network = Scripted(world, plays)
        clock = lambda: _moment(world.now)  # noqa: E731
        ledger = Ledger(lake, layout, network.origin(""), journal.listener, clock)
        ledger._thread = threading.Thread(target=lambda: None)
        change_rules(lake, "x", add=("#a",), now=_moment(START))
        ledger.begin()
        following = Following(lake, network, ledger, clock)
        following.sync()
        supervisor = Supervisor(
            network,
            journal,
            ledger,
            following,
            Schedule(random.Random(1)),
            silence_seconds=22.0,
            guards=[guard] if guard else [],
            times=Times(lambda: world.now, lambda: world.now, world.wait),
        )
        return Stage(world, lake, network, journal, ledger, supervisor)

    yield one
    for journal in journals:
        journal.close()
        journal.release()


def ends(outcome: Outcome, lasting: float = 0.05) -> Play:
    """No stream: an answer, or none."""

    def play(world: World, intake: Intake, connected: Callable[[], None]) -> Outcome:
        world.now += lasting
        return outcome

    return play


def stands(
    stage: list[Stage], lasting: float, outcome: Outcome, messages: int = 1, *, lively: bool = True
) -> Play:
    """A stream that stands, brings so many messages at each look (or only at first), and ends."""

    def play(world: World, intake: Intake, connected: Callable[[], None]) -> Outcome:
        connected()
        stage[0].network.brought = messages
        watched = world.now + lasting
        while world.now < watched:
            world.now += 0.25
            stage[0].network.brought += messages if lively else 0
            stage[0].supervisor.watch()
        if world.now >= world.end:
            world.stop.set()
            return Outcome(End.STOPPED)
        return Outcome(outcome.end, outcome.detail, messages, outcome.retry_at, for_good=outcome.for_good)

    return play


def for_ever(play: Play) -> Iterator[Play]:
    while True:
        yield play


CLOSED = Outcome(End.CLOSED, "closed")


def most_in_a_window(connects: list[float]) -> int:
    return max(sum(at - WINDOW_SECONDS < other <= at for other in connects) for at in connects)


@pytest.mark.parametrize("messages", [0, 1])
def test_a_server_that_accepts_and_closes_for_an_hour_sees_no_more_than_50_connects_in_15_minutes(
    staged: Staged, messages: int
) -> None:
    stage: list[Stage] = []
    stage.append(staged(for_ever(stands(stage, 0.01, CLOSED, messages))))
    assert stage[0].run() is None
    connects = stage[0].network.connects
    assert most_in_a_window(connects) <= CONNECTS
    assert len(connects) > 140
    assert connects[1] - connects[0] < 0.3  # the first is tried again at once


def test_also_when_it_is_started_again_all_the_time(staged: Staged) -> None:
    stage: list[Stage] = [staged(iter(()))]
    connects: list[float] = []
    for run in range(20):
        world = World(now=START + run * 30, end=START + (run + 1) * 30)
        stage[0] = staged(for_ever(stands(stage, 0.01, CLOSED, 1)), world)
        stage[0].run()
        connects += stage[0].network.connects
    assert most_in_a_window(connects) <= CONNECTS
    assert len(connects) > 30


def test_every_second_is_heard_or_in_a_gap(staged: Staged) -> None:
    stage: list[Stage] = []
    plays = iter(
        [
            stands(stage, 600, CLOSED),
            ends(Outcome(End.UNREACHABLE, reached=False)),
            ends(Outcome(End.SERVER_ERROR, "HTTP 503")),
            stands(stage, 600, Outcome(End.SILENT)),
            stands(stage, HOUR, CLOSED),
        ]
    )
    stage.append(staged(plays))
    assert stage[0].run() is None
    first, second, last = stage[0].gaps()
    connects = [_moment(at) for at in stage[0].network.connects]
    assert first.cause is Cause.SERVER_ERROR  # it lasted longest
    assert {"disconnected", "unreachable", "server error"} == {
        part.rsplit(" ", 2)[0] for part in first.detail.split(", ")
    }
    assert connects[0] < first.started_at < connects[1]
    assert first.ended_at == connects[3]
    assert (second.cause, second.ended_at) == (Cause.SILENCE, connects[4])
    assert (last.cause, last.state) == (Cause.STOPPED, State.OPEN)
    rules = {gap.cause: gap for gap in read_gaps(stage[0].lake) if gap.rules}
    assert rules[Cause.NOT_YET].ended_at == _moment(START) + SETTLE


def test_a_connection_that_brings_nothing_ends_no_gap(staged: Staged) -> None:
    stage: list[Stage] = []
    plays = [stands(stage, 60, CLOSED), *[stands(stage, 0.1, CLOSED, 0)] * 9, stands(stage, HOUR, CLOSED)]
    stage.append(staged(iter(plays)))
    stage[0].run()
    first, last = stage[0].gaps()
    assert first.ended_at == _moment(stage[0].network.connects[-1])
    assert last.cause is Cause.STOPPED


@pytest.mark.parametrize(("lasting", "dropped"), [(22, False), (24, True)])
def test_a_connection_that_brings_nothing_any_more_is_dropped(
    staged: Staged, lasting: float, dropped: bool
) -> None:
    stage: list[Stage] = []
    stage.append(staged(iter([stands(stage, lasting, CLOSED, lively=False)]), World(end=START + lasting)))
    stage[0].run()
    assert (stage[0].network.dropped > 0) is dropped


@pytest.mark.parametrize(
    ("outcome", "kind", "cause", "words"),
    [
        (Outcome(End.REFUSED, "HTTP 401", for_good=True), MissingCredentialError, Cause.REFUSED, "TOKEN"),
        (Outcome(End.NO_CREDITS, "none", for_good=True), NetworkError, Cause.USAGE_CAP, "credits"),
        (Outcome(End.USAGE_CAPPED, "monthly", for_good=True), NetworkError, Cause.USAGE_CAP, "cap"),
    ],
)
def test_what_only_a_person_can_put_right_ends_it_and_is_in_the_ledger(
    staged: Staged, outcome: Outcome, kind: type[BemteviError], cause: Cause, words: str
) -> None:
    stage: list[Stage] = []
    stage.append(staged(iter([stands(stage, 60, CLOSED), ends(outcome)])))
    error = stage[0].run()
    assert isinstance(error, kind)
    assert words in str(error)
    (gap,) = stage[0].gaps()
    assert (gap.cause, gap.state) == (cause, State.OPEN)


def test_a_rate_limit_waits_for_the_time_that_the_server_names(staged: Staged) -> None:
    stage: list[Stage] = []
    limited = Outcome(End.RATE_LIMITED, retry_at=START + 700)
    stage.append(staged(iter([ends(limited), stands(stage, HOUR, CLOSED)])))
    stage[0].run()
    assert START + 700 <= stage[0].network.connects[1] <= START + 700 + 70


def test_connections_of_ours_that_stand_in_the_way_are_ended(staged: Staged) -> None:
    stage: list[Stage] = []
    taken = Outcome(End.TOO_MANY_CONNECTIONS)
    stage.append(staged(iter([ends(taken), ends(taken), stands(stage, HOUR, CLOSED)])))
    network = stage[0].network
    network.free_answer = 1
    stage[0].run()
    assert network.freed[0] == (START,)
    assert network.connects[1] - network.connects[0] < 1.5  # gone: at once
    assert network.connects[2] - network.connects[1] >= 10  # and yet there: by the schedule


def test_rules_that_are_gone_are_given_again(staged: Staged) -> None:
    stage: list[Stage] = []
    stage.append(staged(iter([ends(Outcome(End.NO_RULES)), stands(stage, HOUR, CLOSED)])))
    stage[0].run()
    assert stage[0].network.synced == 2


def test_a_guard_holds_it_back_before_and_during_a_connection(staged: Staged) -> None:
    stage: list[Stage] = []

    def guard() -> Hold | None:
        now = stage[0].world.now - START
        return Hold(Cause.BUDGET, "spent") if now < 60 or 600 <= now < 700 else None

    def play(world: World, intake: Intake, connected: Callable[[], None]) -> Outcome:
        connected()
        stage[0].network.brought = 1
        dropped = stage[0].network.dropped
        while stage[0].network.dropped == dropped and world.now < world.end:
            world.now += 0.25
            stage[0].network.brought += 1
            stage[0].supervisor.watch()
        if world.now >= world.end:
            world.stop.set()
        return Outcome(End.STOPPED if world.stop.is_set() else End.SILENT, messages=1)

    stage.append(staged(for_ever(play), guard=guard))
    stage[0].run()
    first, second, last = stage[0].gaps()
    assert [gap.cause for gap in (first, second, last)] == [Cause.BUDGET, Cause.BUDGET, Cause.STOPPED]
    assert (first.started_at, second.detail) == (_moment(START), "spent")
    for gap, until in ((first, 60), (second, 700)):
        assert gap.ended_at is not None
        assert START + until <= gap.ended_at.timestamp() <= START + until + 2
