"""`bemtevi serve` and `bemtevi run` as a person starts them."""

from __future__ import annotations

import json
import re
import urllib.request
from pathlib import Path

import pytest
from tests.integration.command import Person, interrupt
from tests.serve.test_live import ready

USAGE, CREDENTIAL = 2, 3


@pytest.fixture
def person(tmp_path: Path) -> Person:
    """Somebody in an empty folder."""
    folder = tmp_path / "home"
    folder.mkdir()
    return Person(folder)


def given(token: str) -> dict[str, str]:
    """A token in the environment."""
    return {"BEMTEVI_API_TOKEN": token}


def test_it_serves_until_ctrl_c(person: Person) -> None:
    process = person.start("serve", "--port", "0")
    assert process.stderr is not None
    line = process.stderr.readline()
    url = re.search(r"http://127\.0\.0\.1:\d+", line)
    assert url, line
    with urllib.request.urlopen(ready(url[0]) + "/api/v1/status", timeout=20) as answer:  # noqa: S310
        assert json.load(answer)["data"]["empty"] is True
    result = interrupt(process)
    assert result.code == 0, result.err
    assert "Traceback" not in result.err


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])  # noqa: S104  it is refused
def test_an_address_that_others_reach_needs_a_token(person: Person, host: str) -> None:
    assert "BEMTEVI_API_TOKEN" in person.run("serve", "--host", host).sentence(CREDENTIAL)
    told = person.run("serve", "--host", host, **given(" ")).sentence(CREDENTIAL)
    assert "BEMTEVI_API_TOKEN" in told


def test_a_port_that_is_taken_is_told(person: Person) -> None:
    assert "--port" in person.run("serve", "--port", "1", "--host", "192.0.2.1", **given("x")).sentence(USAGE)
