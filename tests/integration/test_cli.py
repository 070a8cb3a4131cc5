"""A new user's worst day: each mistake is one clear sentence, an exit code, and nothing half-written."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from tests.integration.command import Person
from tests.integration.conftest import TOKEN as TOKEN_OF_X

from bemtevi.simulate import RunningX

USAGE, TOKEN, STORAGE, NETWORK = 2, 3, 4, 6


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--bad"], "No such option: --bad. See `bemtevi --help`."),
        (["top", "--lim", "3"], "--limit"),
        (["tracks"], "No such command 'tracks'"),
        (["query"], "Missing argument 'sql'. See `bemtevi query --help`."),
        (["import"], "Missing argument"),
        (["top", "--hours", "many"], "'--hours'"),
        (["top", "--limit", "0"], "'--limit'"),
        (["top", "now"], "now"),
        (["demo", "--seconds"], "'--seconds' requires an argument"),
        (["query", "--format", "xml", "select 1"], "'table', 'csv', 'json', 'jsonl', 'parquet'"),
        (["simulate", "myspace"], "No such command 'myspace'. See `bemtevi simulate --help`."),
        (["track", "--network", "orkut", "#a"], "'orkut'"),
        (["track", " "], "empty"),
        (["track", "--remove", "#never"], "#never"),
        (["run", "--every", "soon"], "'soon' is no interval"),
        (["consolidate", "--every", "0m"], "'0m' is no interval"),
        (["consolidate", "--from", "2026-11-24"], "both --from and --to"),
        (["consolidate", "--from", "2026-11-24", "--to", "2026-11-23"], "--to must be after --from"),
        (["consolidate", "--every", "1h", "--from", "7d", "--to", "1d"], "--every"),
        (["import", "nowhere.jsonl"], "There is no file nowhere.jsonl"),
        (["import", "."], "is a folder"),
        (["simulate", "x", "--replay", "nowhere.jsonl"], "There is no file nowhere.jsonl"),
    ],
)
def test_a_wrong_call(person: Person, arguments: list[str], said: str) -> None:
    assert said in person.run(*arguments).sentence(USAGE)


def test_help_is_there_for_all(person: Person) -> None:
    for command in ("", "track", "listen", "run", "import", "consolidate", "query", "hashtag", "top", "demo"):
        assert "--help" in person.good(*command.split(), "--help")
    assert "--rate" in person.good("simulate", "x", "-h")
    assert person.good("--version").startswith("bemtevi ")
    for alone in ([], ["simulate"]):
        result = person.run(*alone)
        assert (result.code, result.err) == (USAGE, "")
        assert "Usage: bemtevi" in result.out


def test_an_unknown_hashtag_and_those_near_it(owner: Person) -> None:
    assert "#covid19" in owner.run("hashtag", "covid").sentence(USAGE)
    assert "is no hashtag" in owner.run("hashtag", "#").sentence(USAGE)
    assert "\x1b" not in owner.run("hashtag", "\x1b[31mred").sentence(USAGE)


def test_times_that_are_none(owner: Person) -> None:
    for since in ("tomorrow", "9999999d", "7", "2026-13-01"):
        owner.run("hashtag", "covid19", "--since", since).sentence(USAGE)
    assert "--until" in owner.run("hashtag", "covid19", "--until", "2010-01-01").sentence(USAGE)


def test_an_empty_lake(person: Person) -> None:
    for question in (["hashtag", "covid19"], ["top"]):
        assert "Nothing is consolidated yet" in person.run(*question).sentence(USAGE)
    assert "is empty" in person.run("query", "select 1").sentence(USAGE)
    assert list(person.folder.glob("*")) == []
    assert "Nothing is followed" in person.good("track")
    assert "Layer 1 is empty" in person.good("consolidate")


def test_nothing_consolidated_yet(person: Person, archive: Path) -> None:
    person.good("import", archive)
    for question in (["hashtag", "covid19"], ["top", "--json"]):
        assert "Nothing is consolidated yet" in person.run(*question).sentence(USAGE)
    assert json.loads(person.good("query", "select count(*) as n from raw", "--format", "json")) == [
        {"n": 3000}
    ]
    assert person.good("query", "select * from fact_tweet", "--format", "jsonl") == ""


def test_without_a_token(person: Person) -> None:
    person.good("track", "#covid19")
    for command in ("listen", "run"):
        for token in ({}, {"BEMTEVI_X_BEARER_TOKEN": " "}):
            sentence = person.run(command, **token).sentence(TOKEN)
            assert "BEMTEVI_X_BEARER_TOKEN" in sentence
            assert "bemtevi demo" in sentence


def test_with_a_wrong_token(person: Person, x: RunningX) -> None:
    person.environment = {"BEMTEVI_X_API_URL": x.url, "BEMTEVI_X_BEARER_TOKEN": "s3cret"}
    person.good("track", "#covid19")
    for command in ("listen", "run"):
        result = person.run(command)
        assert "refuses the token" in result.sentence(TOKEN)
        assert "s3cret" not in result.err


def test_nothing_followed(person: Person, x: RunningX) -> None:
    person.environment = {"BEMTEVI_X_API_URL": x.url, "BEMTEVI_X_BEARER_TOKEN": TOKEN_OF_X}
    assert "bemtevi track" in person.run("listen").sentence(USAGE)


def test_x_cannot_be_reached(person: Person) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        person.environment = {"BEMTEVI_X_API_URL": url, "BEMTEVI_X_BEARER_TOKEN": "any"}
        person.good("track", "#covid19")
        waited = person.run("listen", "--seconds", "2")
        assert waited.code == 0
        assert "listener.rules_not_synced" in waited.err
        assert url in waited.err
        assert "BEMTEVI_X_API_URL" in waited.err
        said = person.run("simulate", "x", "--port", url.rsplit(":", 1)[1]).sentence(NETWORK)
        assert "--port" in said


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("TIMEZONE", "Mars/Olympus", "'Mars/Olympus' is not a time zone"),
        ("MEMORY_LIMIT", "much", "memory_limit"),
        ("THREADS", "0", "threads"),
        ("THREADS", "two", "threads"),
        ("ENGINE", "hadoop", "engine"),
        ("X_API_URL", "api.x.com", "https://"),
        ("SEGMENT_SECONDS", "-1", "segment_seconds"),
    ],
)
def test_a_wrong_setting(person: Person, name: str, value: str, said: str) -> None:
    sentence = person.run("top", **{f"BEMTEVI_{name}": value}).sentence(USAGE)
    assert f"BEMTEVI_{name}" in sentence
    assert said in sentence


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lake = \n", "bemtevi.toml"),
        ("= 3", "bemtevi.toml"),
        ('laek = "lake"', "(lake is)"),
        ("threads = 'many'", "threads"),
        ("lake = ''", "lake"),
        ("lake = 3", "lake"),
        ("[lake]\nfolder = 'x'", "lake"),
        ("lake = '\xe9'", "bemtevi.toml"),
    ],
)
def test_a_wrong_settings_file(person: Person, text: str, said: str) -> None:
    (person.folder / "bemtevi.toml").write_bytes(text.encode("latin-1"))
    assert said in person.run("top").sentence(USAGE)


def test_flags_win_over_the_environment_and_that_over_the_file(owner: Person) -> None:
    (owner.folder / "lake").rename(owner.folder / "mine")
    (owner.folder / "bemtevi.toml").write_text('lake = "nowhere"\n')
    question = ("query", "select 1 as one", "--format", "csv")
    assert "nowhere" in owner.run(*question).sentence(USAGE)
    assert owner.good(*question, BEMTEVI_LAKE="mine").split() == ["one", "1"]
    assert owner.good("--lake", "mine", *question, BEMTEVI_LAKE="other").split() == ["one", "1"]


def test_another_zone_than_the_lakes(owner: Person, x: RunningX) -> None:
    for command in (["consolidate"], ["top"], ["query", "select 1"], ["hashtag", "covid19"]):
        sentence = owner.run(*command, BEMTEVI_TIMEZONE="Europe/Lisbon").sentence(USAGE)
        assert "BEMTEVI_TIMEZONE=America/Sao_Paulo" in sentence
    owner.good("top", "--hours", "200")
    owner.environment = {"BEMTEVI_X_API_URL": x.url, "BEMTEVI_X_BEARER_TOKEN": TOKEN_OF_X}
    owner.good("track", "#covid19")
    result = owner.run("run", "--seconds", "20", BEMTEVI_TIMEZONE="Europe/Lisbon")
    assert "BEMTEVI_TIMEZONE=America/Sao_Paulo" in result.sentence(USAGE)
    assert result.seconds < 10


@pytest.mark.parametrize("table", ["layer1/raw", "layer2/fact_post"])
def test_a_lake_of_a_newer_version(owner: Person, table: str) -> None:
    log = owner.folder / "lake" / table / "_delta_log" / f"{0:020d}.json"
    text = log.read_text()
    assert '"bemtevi.lakeVersion":"1"' in text
    log.write_text(text.replace('"bemtevi.lakeVersion":"1"', '"bemtevi.lakeVersion":"2"'))
    for command in (["top"], ["consolidate"], ["query", "select 1"]):
        assert "update bemtevi" in owner.run(*command).sentence(STORAGE)


def test_a_lake_that_is_a_file(person: Person, archive: Path) -> None:
    (person.folder / "lake").write_text("mine")
    asking = (["top"], ["query", "select 1"])
    for command in (["import", str(archive)], ["track", "#a"], ["consolidate"], *asking):
        assert "is a file" in person.run(*command).sentence(USAGE)
        person.run(*command, BEMTEVI_LAKE="lake/inside").sentence(USAGE if command in asking else STORAGE)
    assert (person.folder / "lake").read_text() == "mine"


def test_a_lake_that_may_not_be_written(owner: Person, archive: Path) -> None:
    before = owner.good("query", "select * from run", "--format", "jsonl")
    folders = [owner.folder / "lake", *(path for path in (owner.folder / "lake").rglob("*") if path.is_dir())]
    more = owner.folder / "more.jsonl"
    more.write_text('{"data":{"id":"1500000000000000000","text":"a"}}\n')
    for folder in folders:
        folder.chmod(0o555)
    try:
        for line in (f"bemtevi import {more}", "bemtevi track '#a'"):
            sentence = owner.shell(line, superuser=False).sentence(STORAGE)
            assert "right" in sentence or "ermission" in sentence
        assert owner.shell("bemtevi top --hours 200", superuser=False).code == 0
    finally:
        for folder in folders:
            folder.chmod(0o755)
    assert owner.good("query", "select * from run", "--format", "jsonl") == before
    assert f"{archive.name}: already imported" in owner.good("import", archive)


def test_a_folder_that_is_not_the_demos(person: Person) -> None:
    (person.folder / "demo").mkdir()
    (person.folder / "demo" / "thesis.txt").write_text("mine")
    assert "--folder" in person.run("demo").sentence(USAGE)
    assert (person.folder / "demo" / "thesis.txt").read_text() == "mine"
