"""OpenLineage: what a real receiver gets, and that the work goes on without one."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.integration.command import Person
from tests.support import new_lake, post, put

USAGE = 2
API_KEY = "very-secret-token"
PARENT = "airflow/bemtevi_hourly.consolidate/019eaf6a-5d0e-7c3a-9a3e-2f1f2a3b4c5d"
NO_RETRY = {"OPENLINEAGE__TRANSPORT__RETRY": json.dumps({"total": 0})}


class Receiver:
    """A lineage service: keeps what it is sent, and answers as it is told to."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.answer = 201
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.events.append({"at": self.path, **json.loads(body)})
                receiver.headers.append(dict(self.headers))
                self.send_response(receiver.answer)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def settings(self) -> dict[str, str]:
        """What makes the program send to it."""
        return NO_RETRY | {
            "BEMTEVI_OPENLINEAGE": "true",
            "OPENLINEAGE__TRANSPORT__TYPE": "http",
            "OPENLINEAGE__TRANSPORT__URL": f"http://127.0.0.1:{self.server.server_address[1]}",
            "OPENLINEAGE__TRANSPORT__AUTH": json.dumps({"type": "api_key", "apiKey": API_KEY}),
        }


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    started = Receiver()
    yield started
    started.server.shutdown()
    started.server.server_close()


@pytest.fixture
def person(tmp_path: Path) -> Person:
    """Somebody in whose lake three messages wait."""
    put(new_lake(tmp_path), [post(0, "#a"), post(1, "#b"), post(0, "#a")])
    return Person(tmp_path)


def names(datasets: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Datasets by the last part of their names."""
    return {dataset["name"].rsplit("/", 1)[-1]: dataset for dataset in datasets}


def test_the_work_is_told(person: Person, receiver: Receiver) -> None:
    person.good("consolidate", **receiver.settings, BEMTEVI_OPENLINEAGE_PARENT=PARENT)
    start, complete = receiver.events
    assert [start["eventType"], complete["eventType"]] == ["START", "COMPLETE"]
    assert start["run"]["runId"] == complete["run"]["runId"]
    assert complete["at"] == "/api/v1/lineage"
    assert receiver.headers[0]["Authorization"] == f"Bearer {API_KEY}"
    assert (complete["job"]["namespace"], complete["job"]["name"]) == ("bemtevi", "consolidate")
    parent = complete["run"]["facets"]["parent"]
    assert (parent["job"]["namespace"], parent["job"]["name"]) == ("airflow", "bemtevi_hourly.consolidate")
    assert complete["run"]["facets"]["processing_engine"]["name"] == "duckdb"

    (raw,) = complete["inputs"]
    assert (raw["namespace"], raw["name"]) == ("file", f"{person.folder}/lake/layer1/raw")
    assert raw["inputFacets"]["inputStatistics"]["rowCount"] == 3
    outputs = names(complete["outputs"])
    assert {"fact_post", "dim_user", "agg_hashtag_hour", "dim_hashtag"} <= outputs.keys()
    fact = outputs["fact_post"]
    assert fact["outputFacets"]["outputStatistics"]["rowCount"] == 2
    assert fact["facets"]["version"]["datasetVersion"] == "1"
    fields = {field["name"]: field for field in fact["facets"]["schema"]["fields"]}
    assert fields["post_id"]["type"] == "string"
    assert {field["name"] for field in fields["hashtags"]["fields"]} >= {"hashtag", "spelling"}
    assertions = fact["facets"]["dataQualityAssertions"]["assertions"]
    assert {"not_null network post_id", "unique network post_id"} <= {one["assertion"] for one in assertions}
    assert all(one["success"] for one in assertions if one["severity"] == "error")

    receiver.events.clear()
    person.good("rebuild", "--table", "dim_hashtag", **receiver.settings)
    start, complete = receiver.events
    assert complete["job"]["name"] == "rebuild"
    assert names(complete["inputs"]).keys() == {"agg_hashtag_hour"}
    assert names(complete["outputs"]).keys() == {"dim_hashtag"}

    receiver.events.clear()
    person.good("maintain", **receiver.settings)
    assert [(event["job"]["name"], event["eventType"]) for event in receiver.events] == [
        ("maintain", "START"),
        ("maintain", "COMPLETE"),
    ]

    receiver.events.clear()
    said = person.run("consolidate", **receiver.settings, BEMTEVI_TIMEZONE="UTC").sentence(USAGE)
    start, fail = receiver.events
    assert fail["eventType"] == "FAIL"
    assert fail["outputs"] == []
    assert fail["run"]["facets"]["errorMessage"]["message"] in said + "."


def test_nothing_is_told_unless_the_setting_is_on(person: Person, receiver: Receiver) -> None:
    person.good("consolidate", **receiver.settings | {"BEMTEVI_OPENLINEAGE": "false"})
    assert receiver.events == []


def test_the_work_goes_on_when_the_receiver_does_not(person: Person, receiver: Receiver) -> None:
    receiver.answer = 503
    result = person.run("consolidate", **receiver.settings)
    assert result.code == 0
    assert result.err.count("openlineage.failed") == 2
    assert len(receiver.events) == 2
    assert API_KEY not in result.err
    assert json.loads(person.good("query", "select count(*) as n from fact_post", "--format", "json")) == [
        {"n": 2}
    ]
    put(new_lake(person.folder), [post(9)], session="later")
    receiver.server.shutdown()
    receiver.server.server_close()
    result = person.run("consolidate", **receiver.settings)
    assert result.code == 0
    assert "1 new of 1 posts" in result.out
    assert "openlineage.failed" in result.err


def test_other_transports_are_the_librarys_settings(person: Person) -> None:
    console = {"BEMTEVI_OPENLINEAGE": "true", "OPENLINEAGE__TRANSPORT": json.dumps({"type": "console"})}
    result = person.run("consolidate", **console)
    told = [json.loads(line) for line in result.err.splitlines() if line.startswith("{")]
    assert [event["eventType"] for event in told] == ["START", "COMPLETE"]
    path = person.folder / "events.json"
    (person.folder / "openlineage.yml").write_text(
        f"transport:\n  type: file\n  log_file_path: {path}\n  append: true\n"
    )
    person.good("maintain", BEMTEVI_OPENLINEAGE="true")
    assert [json.loads(line)["eventType"] for line in path.read_text().splitlines()] == ["START", "COMPLETE"]


def test_one_sentence_for_what_is_wrong(person: Person) -> None:
    said = person.run("consolidate", BEMTEVI_OPENLINEAGE_PARENT="airflow/task").sentence(USAGE)
    assert "names no run" in said
    # a library that is not there
    (person.folder / "without").mkdir()
    (person.folder / "without" / "openlineage.py").write_text("")
    result = person.shell("bemtevi consolidate", BEMTEVI_OPENLINEAGE="true", PYTHONPATH="without")
    assert "pip install 'bemtevi[openlineage]'" in result.sentence(USAGE)
