"""The description for programs: every address has an example that is true, and no request makes a 5xx."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient
from tests.integration.command import Person, interrupt
from tests.serve.test_live import ready

from bemtevi.lake.lake import Lake

QUERY: dict[str, dict[str, Any]] = {
    "/api/v1/compare": {"tag": ["covid19", "sus"]},
    "/api/v1/rising": {"last": "7d"},
}
NEVER_ENDS = "/api/v1/live"


@pytest.fixture(scope="module")
def described(client: TestClient) -> dict[str, Any]:
    """The description, as a program gets it."""
    answer = client.get("/api/v1/openapi.json")
    assert answer.status_code == 200
    return dict(answer.json())


def shape(value: Any) -> Any:
    """The names in an answer, of a list those of its first object."""
    if isinstance(value, list):
        return [shape(value[0])] if value and isinstance(value[0], dict) else []
    return {name: shape(one) for name, one in value.items()} if isinstance(value, dict) else None


def test_every_example_is_like_a_real_answer(client: TestClient, described: dict[str, Any]) -> None:
    for path, operations in described["paths"].items():
        if path in (NEVER_ENDS, "/api/v1/sql"):
            continue
        example = operations["get"]["responses"]["200"]["content"]["application/json"]["example"]
        query: dict[str, Any] = {"last": "7d"} | QUERY.get(path, {})
        real = client.get(path.replace("{tag}", "covid19"), params=query).json()
        assert example["meta"].keys() <= real["meta"].keys(), path
        known, told = shape(real["data"]), shape(example["data"])
        if known in ([], [{}]):  # nothing of this is in the lake
            continue
        if isinstance(known, list):
            known, told = known[0], told[0]
        assert told.keys() == known.keys(), path
        for name, inner in told.items():
            if inner and known[name]:
                assert shape(inner) == shape(known[name]), (path, name)


def test_the_description_names_every_problem_and_form(client: TestClient, described: dict[str, Any]) -> None:
    for path, operations in described["paths"].items():
        for operation in operations.values():
            answers = operation["responses"]
            assert {"401", "422", "503", "504"} <= answers.keys(), path
            for status, answer in answers.items():
                if status >= "400":
                    assert list(answer["content"]) == ["application/problem+json"], (path, status)
    forms = described["paths"]["/api/v1/hashtags/{tag}/cooccurrence"]["get"]["responses"]["200"]["content"]
    for form in ("csv", "jsonl", "parquet", "arrow", "gexf"):
        answer = client.get(f"/api/v1/hashtags/covid19/cooccurrence?last=7d&format={form}")
        assert answer.headers["content-type"].split(";")[0] in forms


@pytest.mark.parametrize("form", ["csv", "parquet", "gexf"])
@pytest.mark.parametrize("tag", ["東京", "saúde", "हिंदी", "a\u202eb", 'a"b', "a\r\nb"])
def test_a_file_has_a_name_in_every_script(client: TestClient, tag: str, form: str) -> None:
    answer = client.get(f"/api/v1/hashtags/{quote(tag)}/cooccurrence", params={"format": form})
    assert answer.status_code in (200, 422), answer.text
    if answer.status_code == 200:
        name = answer.headers["content-disposition"]
        assert re.fullmatch(r"attachment; filename=\"[\w.-]+\"; filename\*=UTF-8''[\w.%~-]+", name, re.ASCII)


@pytest.mark.heavy
def test_no_request_makes_a_mistake_of_ours(heard: Lake, tmp_path: Path) -> None:
    """Schemathesis makes thousands of requests from the description, right ones and wrong ones."""
    places = {"BEMTEVI_LAKE": heard.layout.root, "BEMTEVI_JOURNAL": str(tmp_path / "journal")}
    person = Person(tmp_path, places)
    serving = person.start("serve", "--port", "0")
    assert serving.stderr is not None
    found = re.search(r"http://127\.0\.0\.1:\d+", serving.stderr.readline())
    assert found is not None
    url = ready(found[0])
    checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
    done = subprocess.run(
        [
            Path(sys.executable).with_name("st"),
            *("run", f"{url}/api/v1/openapi.json", "--checks", checks, "--exclude-path", NEVER_ENDS),
            *("--phases", "examples,coverage,fuzzing", "--max-examples", "20", "--seed", "6"),
            *("--no-shrink", "--continue-on-failure", "--warnings", "off", "--request-timeout", "60"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-8_000:] + done.stderr[-2_000:]
    made = re.search(r"(\d+) generated", done.stdout)
    assert made is not None
    assert int(made[1]) > 1_000
    ready(url)
    ended = interrupt(serving)
    assert ended.code == 0
    assert "Traceback" not in ended.err
