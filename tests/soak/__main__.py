"""The soak: a listener that is cut off, killed, starved of storage and disk for minutes, and the account.

    python -m tests.soak --minutes 2 --seed 7

Owns what happens when, by seed, and the verdict: exit code 1 if anything is lost, doubled or unexplained, or
if a process ended in a way that it must not.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from tests.faults.account import account
from tests.faults.scene import dealt_with
from tests.soak.place import PATIENCE, Place, Running, Simulator, exits_told

from bemtevi.lake.gap import read_gaps
from bemtevi.lake.lake import Lake
from bemtevi.lake.layout import Layout
from bemtevi.serve.catalog import Catalog
from bemtevi.simulate import KINDS
from bemtevi.simulate.faults import DISCONNECTS, OF
from bemtevi.simulate.faults import Place as Where

RATE = 250.0
"""X's ceiling."""
ALLOWED_EXITS = {0, -9, 3, 4, 6, 7}
STARTING_SECONDS = 10.0
INTERRUPTED = {130, -signal.SIGINT}
"""How a process ends that is interrupted before it has begun."""
NOTHING_FOLLOWED = 2
"""The exit code of a listener that is started while the lake is away: it finds no list of rules."""
DIES = {"unauthorized", "forbidden", "usage-cap", "no-credits"}
"""Faults after which a listener must end: seldom here, since then it is started again."""
MEMORY = 300 * 1024 * 1024
FILLING = 600.0
"""Seconds to fill at the end what is left: a search brings 45,000 posts a window at most."""


class Soak:
    """One soak."""

    def __init__(self, place: Place, seed: int, minutes: float) -> None:
        self.place = place
        self.chance = random.Random(seed)
        self.until = time.monotonic() + minutes * 60
        self.did: Counter[str] = Counter()
        self.exits: Counter[int] = Counter()
        self.most_memory = 0
        self.wrong: list[str] = []
        self.simulator = Simulator(place, RATE, seed)
        self.settings = {
            "x_api_url": self.simulator.url,
            "x_bearer_token": "any",
            "segment_seconds": 0.7,
            "segment_bytes": 4 * 1024 * 1024,
            "silence_seconds": 2.5,
            "fill_delay_seconds": 2.0,
            "journal_reserve_bytes": 16 * 1024 * 1024,
        }
        self.began = datetime.now(UTC)
        self._bemtevi("track", "#covid19", "#vacina")
        self.listener = self._listen()
        self.consolidation: Running | None = None

    def _listen(self) -> Running:
        arguments = ["-m", "tests.soak.listen", "--log-json", "listen"]
        self.without_lake = self.place.away.exists()
        self.started_at = time.monotonic()
        return Running(arguments, self.place, self.place.log, **self.settings)

    def _bemtevi(self, *arguments: str) -> None:
        said = self.place.folder / f"{arguments[0]}.log"
        code = Running(["-m", "bemtevi", *arguments], self.place, said, **self.settings).end()
        if code != 0:
            self.wrong.append(f"{arguments[0]} ended with {code}: {said.read_text()[-300:]}")

    def run(self) -> None:
        """Until the time is over."""
        actions = {
            self.kill: 6,
            self.interrupt: 1,
            self.fault: 8,
            self.take_lake: 1,
            self.fill_disk: 0 if self.place.no_disk else 1,
            self.consolidate: 1,
        }
        while time.monotonic() < self.until:
            (action,) = self.chance.choices(list(actions), list(actions.values()))
            action()
            self._wait(self.chance.uniform(0.3, 2.0))
            self._begin_again()
            if self.chance.random() < 0.7:
                self._connected()

    # what happens

    def kill(self) -> None:
        """`kill -9`, and start again at once or soon."""
        self.did["kill -9"] += self.listener.runs
        self._ended(self.listener.end(signal.SIGKILL))
        self._wait(self.chance.choice((0.0, 0.0, 0.5, 2.0)))
        self.listener = self._listen()

    def interrupt(self) -> None:
        """Ctrl-C, and start again."""
        self.did["Ctrl-C"] += 1
        code = self.listener.end(signal.SIGINT)
        early = code in INTERRUPTED and time.monotonic() - self.started_at < STARTING_SECONDS
        self._ended(0 if early else code)
        self.listener = self._listen()

    def fault(self) -> None:
        """One of the simulator's faults."""
        names = [name for name in KINDS if name not in DIES] * 4 + sorted(DIES)
        name = self.chance.choice(names)
        kind = KINDS[name]
        body: dict[str, object] = {"fault": name}
        if "seconds" in kind.parameters:
            body["seconds"] = round(self.chance.uniform(0.5, 5.0), 2)
        if "of" in kind.parameters and name not in DIES:
            body["of"] = self.chance.choice(OF)
        if name == "operational-disconnect":
            body["type"] = self.chance.choice(DISCONNECTS)
        if name == "cut":
            body["end"] = self.chance.choice(kind.parameters["end"].choices)
        if kind.place in (Where.LINE, Where.CHUNK):
            body |= {"times": self.chance.randint(1, 50), "apart": self.chance.randint(0, 5)}
        if kind.place is Where.ANSWER and self.chance.random() < 0.7:
            self.simulator.control("fault", json={"fault": "close"})
        self.simulator.control("fault", json=body)
        self.did["faults"] += 1

    def take_lake(self) -> None:
        """Storage is away for some seconds; now and then the listener is killed meanwhile."""
        self._end_consolidation()
        self.did["storage away"] += 1
        self.place.take_lake()
        # one that is just starting may look for its rules only now
        self.without_lake |= time.monotonic() - self.started_at < STARTING_SECONDS
        self._wait(self.chance.uniform(1.0, 6.0))
        if self.chance.random() < 0.3:
            self.kill()
            self._wait(1.0)
        self.place.give_lake()

    def fill_disk(self) -> None:
        """The journal's disk is full for some seconds; now and then the listener is killed meanwhile."""
        self.did["disk full"] += 1
        self.place.fill_disk()
        self._wait(self.chance.uniform(1.0, 5.0))
        if self.chance.random() < 0.3:
            self.kill()
            self._wait(1.0)
        self.place.free_disk()

    def consolidate(self) -> None:
        """In the background; now and then it is killed."""
        if self.consolidation is not None and self.consolidation.runs:
            if self.chance.random() < 0.5:
                self.did["kill -9 of consolidate"] += 1
                self.consolidation.end(signal.SIGKILL)
            return
        self._end_consolidation()
        self.did["consolidate"] += 1
        said = self.place.folder / "consolidate.log"
        self.consolidation = Running(["-m", "bemtevi", "consolidate"], self.place, said, **self.settings)

    # and around it

    def _end_consolidation(self) -> None:
        if self.consolidation is not None:
            code = self.consolidation.end()
            if code not in ALLOWED_EXITS:
                self.wrong.append(f"consolidate ended with {code}")
            self.consolidation = None

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.most_memory = max(self.most_memory, self.listener.memory())
            time.sleep(0.1)

    def _connected(self, seconds: float = 8.0) -> None:
        """Wait for a connection, for a while: else most of the time would be starting."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self.simulator.control("resume")["connections"]:
            self._wait(0.2)
        self._wait(self.chance.uniform(0.0, 1.5))

    def _begin_again(self) -> None:
        if not self.listener.runs:
            self.did["start again"] += 1
            self._ended(self.listener.end())
            self.listener = self._listen()

    def _ended(self, code: int) -> None:
        self.exits[code] += 1
        if code not in ALLOWED_EXITS and not (code == NOTHING_FOLLOWED and self.without_lake):
            words = "did not stop when told to" if code == -999 else f"ended with {code}"
            self.wrong.append(f"the listener {words}")

    def end(self) -> int:
        """Calm, recovery, the account; the exit code."""
        self.place.give_lake()
        self.place.free_disk()
        self.simulator.control("calm")
        self._begin_again()
        lake = Lake(Layout(str(self.place.lake)), "America/Sao_Paulo", local=self.place.journal)
        self._until(lambda: bool(self.simulator.control("calm")["connections"]), "a connection stands")
        self._wait(3.0)
        self.simulator.control("pause")
        self._until(
            lambda: all(dealt_with(gap, filling=True) for gap in read_gaps(lake)),
            "every gap is dealt with",
            FILLING,
        )
        self._ended(self.listener.end(signal.SIGINT))
        self._end_consolidation()
        self._bemtevi("consolidate")
        made = account(lake, self.place.record, since=self.began)
        self._check_layer_2(lake)
        if self.most_memory > MEMORY:
            self.wrong.append(f"the listener took {self.most_memory >> 20} MiB of memory")
        print("what was done:", ", ".join(f"{name} {times}" for name, times in self.did.most_common()))
        print("how listeners ended:", exits_told(self.exits))
        print(f"most memory of a listener: {self.most_memory >> 20} MiB")
        print("the account:")
        print(made.table())
        for each in self.wrong:
            print("WRONG:", each)
        print("balanced" if made.balanced and not self.wrong else "NOT BALANCED")
        return 0 if made.balanced and not self.wrong else 1

    def _until(self, true: object, what: str, seconds: float = PATIENCE * 2) -> None:
        assert callable(true)
        until = time.monotonic() + seconds
        while not true():
            if time.monotonic() > until:
                self.wrong.append(f"after {seconds:g} s still not: {what}")
                return
            self._wait(0.5)
            self._begin_again()

    def _check_layer_2(self, lake: Lake) -> None:
        """Every post of layer 1 is one row of layer 2."""
        with Catalog(lake) as catalog:
            (row,) = catalog.query(
                "select count(*) as posts, count(distinct post_id) as ids from fact_post"
            ).to_pylist()
        if row["posts"] != row["ids"]:
            self.wrong.append(f"layer 2 has {row['posts']} rows of {row['ids']} posts")
        print(f"layer 2: {row['posts']} posts")

    def close(self) -> None:
        """End what still runs."""
        self.listener.end(signal.SIGKILL)
        if self.consolidation is not None:
            self.consolidation.end(signal.SIGKILL)
        self.simulator.running.end(signal.SIGINT, 10)


def main() -> int:
    """Soak, and tell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--keep", action="store_true", help="keep the folder, also if all is well")
    given = parser.parse_args()
    # in the background of a script Ctrl-C is ignored, and so it would be by a listener that is just starting
    signal.signal(signal.SIGINT, signal.default_int_handler)
    folder = Path(tempfile.mkdtemp(prefix="bemtevi-soak-"))
    print(f"soak of {given.minutes:g} minutes; again with --seed {given.seed}; in {folder}", flush=True)
    place = Place(folder)
    if place.no_disk:
        print(f"SKIPPED: the full disk, since no small disk could be mounted ({place.no_disk})", flush=True)
    code = 1
    soak: Soak | None = None
    try:
        soak = Soak(place, given.seed, given.minutes)
        soak.run()
        code = soak.end()
    finally:
        if soak is not None:
            soak.close()
        place.close()
        if code == 0 and not given.keep:
            shutil.rmtree(folder)
        else:
            print(f"the folder {folder} is kept", flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
