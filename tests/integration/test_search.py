"""Search as a source: the full archive, a prompt stop while X does not answer, and what filling costs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.integration.command import Person, interrupt
from tests.integration.test_fill import filler, found, pages, settings_for, simulated, stopped, with_gap
from tests.integration.test_gaps import arm, fired
from tests.integration.test_listen import Listening
from tests.support import eventually

from bemtevi.lake.gap import Gap, State, read_gaps
from bemtevi.lake.lake import Lake
from bemtevi.lake.layout import JournalLayout
from bemtevi.listen.budget import Limits
from bemtevi.listen.budget_guard import BudgetGuard, HeldError
from bemtevi.listen.fill import Filler
from bemtevi.listen.x_search import XSearch
from bemtevi.simulate import RunningX, write_history

STOP_SECONDS = 2.0
DAY = timedelta(days=1)


def replayed(path: Path, ago: timedelta, lasting: timedelta, count: int) -> Path:
    """An archive file of posts that began so long ago."""
    since = datetime.now(UTC) - ago
    write_history(path, ("covid19",), since=since, until=since + lasting, count=count, seed=3)
    return path


def person_at(folder: Path, server: RunningX) -> Person:
    return Person(
        folder,
        {
            "BEMTEVI_X_API_URL": server.url,
            "BEMTEVI_X_BEARER_TOKEN": "any",
            "BEMTEVI_LAKE": str(folder / "lake"),
            "BEMTEVI_JOURNAL": str(folder / "journal"),
        },
    )


def all_of(server: RunningX) -> set[str]:
    """Every post that search has, but reposts, which it does not bring."""
    return {
        str(identity)
        for identity, template in server.world.archive.newest_first(0, 1 << 62)
        if "is:retweet" not in template.search_subject.flags
    }


def test_the_full_archive_is_searched_by_pages_of_five_hundred(tmp_path: Path) -> None:
    past = replayed(tmp_path / "past.jsonl.gz", 40 * DAY, 10 * DAY, 1_500)
    with simulated(replay=past, rate=20_000.0) as server:
        eventually(lambda: server.world.exhausted)
        person = person_at(tmp_path, server)
        assert "add --archive" in person.run("search", "#covid19", "--since", "45d").sentence(2)
        result = person.run("search", "#covid19", "--since", "45d", "--archive")
        assert result.code == 0, result.err
        lake = Lake.of(settings_for(tmp_path, server.url))
        posts = found(lake)
        assert set(posts) <= all_of(server)
        assert f"Brought {len(posts):,} posts. X counts {len(posts):,}." in result.err
    assert len(posts) > 800
    assert set(posts.values()) == {1}
    assert len(pages(lake)) == -(-len(posts) // 500)


def test_a_gap_older_than_recent_search_is_filled_from_the_archive_where_that_is_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bemtevi.listen.x_search.ARCHIVE_SECONDS", 0.0)
    past = replayed(tmp_path / "past.jsonl.gz", 9 * DAY, DAY / 4, 300)
    with simulated(replay=past, rate=20_000.0) as server:
        eventually(lambda: server.world.exhausted)
        settings = settings_for(tmp_path, server.url)
        lake = Lake.of(settings)
        with_gap(lake, "#covid19", ago=9 * DAY + DAY / 24, lasting=DAY / 3)
        Filler(settings, lake, "x", XSearch("any", server.url, archive=True)).run_once()
    (gap,) = stopped(lake)
    assert (gap.state, gap.filled_by) == (State.FILLED, "archive search")
    assert gap.filled_posts == gap.expected_posts == len(found(lake)) > 100


@pytest.mark.parametrize(
    "command",
    [
        ("search", "#covid19", "--since", "1h"),
        ("search", "#covid19", "--since", "45d", "--archive"),
        ("gaps", "--fill"),
        ("listen", "--path", "search", "--every", "1s"),
    ],
    ids=["search", "archive", "fill", "poll"],
)
def test_ctrl_c_does_not_wait_for_an_answer_of_x(tmp_path: Path, command: tuple[str, ...]) -> None:
    with simulated() as server:
        person = person_at(tmp_path, server)
        lake = Lake.of(settings_for(tmp_path, server.url))
        with_gap(lake, "#covid19", ago=timedelta(minutes=5), lasting=timedelta(minutes=1))
        arm(server, "mute:of=search,seconds=60,times=9")
        process = person.start(*command)
        eventually(lambda: fired(server) > 0)
        result = interrupt(process)
        assert (result.code, "Traceback" in result.err) == (0, False), result.err
        assert result.seconds < STOP_SECONDS


def test_a_listener_that_fills_stops_at_once_though_x_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bemtevi.listen.fill.LOOK_SECONDS", 0.1)
    with simulated() as server:
        one = Listening(tmp_path, server.url, search=True, fill_delay_seconds=0.5)
        with_gap(one.lake, "#covid19", ago=timedelta(minutes=5), lasting=timedelta(minutes=1))
        arm(server, "mute:of=search,seconds=60,times=9")
        one.start()
        eventually(lambda: fired(server) > 0)
        assert one.stop() < STOP_SECONDS
        assert one.failure is None


def guard_of(folder: Path, lake: Lake, daily: int) -> BudgetGuard:
    layout = JournalLayout(folder / "journal", "x")
    layout.folder.mkdir(parents=True, exist_ok=True)
    guard = BudgetGuard(Limits(daily, None, 0.005, slows=False), lake, layout, "x")
    guard.begin()
    return guard


def test_what_fills_a_gap_counts_at_once_and_stops_at_the_limit_and_goes_on_the_next_day(
    tmp_path: Path,
) -> None:
    past = replayed(tmp_path / "past.jsonl.gz", timedelta(hours=3), timedelta(hours=2), 1_000)
    with simulated(replay=past, rate=20_000.0) as server:
        eventually(lambda: server.world.exhausted)
        settings = settings_for(tmp_path, server.url)
        lake = Lake.of(settings)
        with_gap(lake, "#covid19", ago=timedelta(hours=4), lasting=timedelta(hours=3))
        guard = guard_of(tmp_path, lake, 150)

        def filling(guard: BudgetGuard) -> Filler:
            search = XSearch("any", server.url)
            may = lambda: guard.reason(0) is None  # noqa: E731
            return Filler(settings, lake, "x", search, may_read=may, came=guard.came)

        with pytest.raises(HeldError):
            filling(guard).run_once()
        assert guard.look(0).today == len(found(lake)) == 200
        assert [gap.state for gap in stopped(lake)] == [State.ENDED]
        again = guard_of(tmp_path, lake, 10_000)
        assert again.look(0).today == 200
        filling(again).run_once()
        assert again.look(0).today == len(found(lake)) > 400
    assert [gap.state for gap in stopped(lake)] == [State.FILLED]
    assert set(found(lake).values()) == {1}


def test_what_a_killed_fill_left_in_the_journal_comes_to_layer_1_when_listening_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bemtevi.listen.fill.LOOK_SECONDS", 0.1)
    with simulated() as server:
        work, lake = filler(tmp_path, server)
        with_gap(lake, "#covid19", ago=timedelta(minutes=5), lasting=timedelta(minutes=1))
        work.run_once()
        left = JournalLayout(tmp_path / "journal", "x-search")
        _leave_a_segment(tmp_path, server.url)
        assert left.segments() or left.open_segments()

        def waiting() -> list[Gap]:
            return read_gaps(lake, states=[State.ENDED])

        assert not waiting()
        one = Listening(tmp_path, server.url, search=True).start()
        try:
            eventually(lambda: not (left.segments() or left.open_segments()))
        finally:
            one.stop()


def _leave_a_segment(folder: Path, url: str) -> None:
    """A search of somebody that is killed after its first page."""
    from tests.recovery.killing import Place

    place = Place(folder, x_api_url=url, x_bearer_token="any", fsync_seconds=0.01)  # noqa: S106
    place.crash("search.place_kept", "search", "#covid19", "--since", "1h")
