"""X's REST calls: what is sent, what an answer holds, and what a refusal says."""

from __future__ import annotations

import json
import re
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.scripted import Reply, scripted

from bemtevi import __version__
from bemtevi.errors import BemteviError, MissingCredentialError, NetworkError
from bemtevi.listen.x_client import Problem, RateLimit, XClient, XRefusalError, problem, rate_limit

TOKEN = "A-secret%2F"  # noqa: S105
LIMITS = {"x-rate-limit-limit": "450", "X-Rate-Limit-Remaining": "449", "x-rate-limit-reset": "1795514400"}

Failure = TypeVar("Failure", bound=BemteviError)


def refused(client: XClient, kind: type[Failure]) -> Failure:
    """How a call fails that must."""
    with pytest.raises(kind) as raised:
        client.get("/2/thing")
    return raised.value


def test_an_answer_holds_body_rate_limit_and_the_clock_of_x() -> None:
    headers = {**LIMITS, "Date": "Tue, 24 Nov 2026 12:00:01 GMT"}
    with (
        scripted(lambda _: Reply({"data": [1]}, 200, headers)) as server,
        XClient(TOKEN, server.url) as client,
    ):
        answer = client.get("/2/thing", dry_run="true", days=7)
    assert answer.body == {"data": [1]}
    assert answer.limit == RateLimit(450, 449, 1795514400.0)
    assert answer.at == datetime(2026, 11, 24, 12, 0, 1, tzinfo=UTC)
    (asked,) = server.asked
    assert (asked.method, asked.path) == ("GET", "/2/thing?dry_run=true&days=7")
    assert asked.headers["Authorization"] == f"Bearer {TOKEN}"
    assert asked.headers["User-Agent"] == f"bemtevi/{__version__}"


def test_what_is_sent_is_json() -> None:
    with scripted(lambda _: Reply({}, 201)) as server, XClient(TOKEN, server.url) as client:
        client.post("/2/thing", {"add": [{"value": "#vacinação"}]})
        client.delete("/2/thing", {"uuids": ["1"]})
        client.delete("/2/thing/all")
    posted, deleted, bare = server.asked
    assert json.loads(posted.body) == {"add": [{"value": "#vacinação"}]}
    assert (deleted.method, json.loads(deleted.body)) == ("DELETE", {"uuids": ["1"]})
    assert (bare.method, bare.body) == ("DELETE", b"")
    assert posted.headers["Content-Type"] == "application/json"


def test_the_token_is_ours_whatever_a_netrc_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with scripted(lambda _: Reply({})) as server, XClient(TOKEN, server.url) as client:
        client.get("/2/thing")
    assert server.asked[0].headers["Authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_token_is_one_sentence_without_the_token(status: int) -> None:
    body = {"title": "Unauthorized", "type": "about:blank", "status": status, "detail": "Unauthorized"}
    with scripted(lambda _: Reply(body, status)) as server, XClient(TOKEN, server.url) as client:
        raised = refused(client, MissingCredentialError)
    assert "BEMTEVI_X_BEARER_TOKEN" in str(raised)
    assert TOKEN not in str(raised)


def test_a_refusal_keeps_what_x_said() -> None:
    body = {
        "title": "UsageCapExceeded",
        "detail": "Usage cap exceeded: Monthly product cap",
        "type": "https://api.twitter.com/2/problems/usage-capped",
        "period": "Monthly",
    }
    with scripted(lambda _: Reply(body, 429, LIMITS)) as server, XClient(TOKEN, server.url) as client:
        raised = refused(client, XRefusalError)
    assert raised.status == 429
    assert raised.problem == Problem("usage-capped", body["title"], body["detail"], "", "Monthly")
    assert raised.limit.reset_at == 1795514400.0
    assert "Monthly product cap" in str(raised)


@pytest.mark.parametrize("body", [b"<html>captive portal</html>", b"[]", b"", b"\xff", b"[" * 100_000])
def test_what_is_not_x_is_one_sentence(body: bytes) -> None:
    with scripted(lambda _: Reply(body)) as server, XClient(TOKEN, server.url) as client:
        assert "does not speak X" in str(refused(client, NetworkError))


def test_a_redirect_is_not_followed_with_the_token() -> None:
    with scripted(lambda _: Reply({})) as other:
        away = Reply(b"", 302, {"Location": other.url})
        with scripted(lambda _: away) as server, XClient(TOKEN, server.url) as client:
            refused(client, XRefusalError)
    assert not other.asked


def test_nobody_there_is_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    with XClient(TOKEN, url) as client, pytest.raises(NetworkError, match="BEMTEVI_X_API_URL"):
        client.get("/2/thing")


@given(
    st.binary()
    | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps).map(str.encode)
)
def test_any_body_of_a_refusal_can_be_read(body: bytes) -> None:
    assert isinstance(problem(body).sentence, str)


@given(st.dictionaries(st.sampled_from(list(LIMITS)), st.text()))
def test_any_headers_can_be_read(headers: dict[str, str]) -> None:
    assert rate_limit(headers).limit is None or re.fullmatch("[0-9]+", headers["x-rate-limit-limit"])


def test_a_disconnect_tells_its_problem_inside() -> None:
    told = {
        "errors": [
            {"title": "operational-disconnect", "type": "https://api.x.com/2/problems/operational-disconnect"}
        ]
    }
    assert problem(json.dumps(told).encode()).kind == "operational-disconnect"


def test_a_refusal_is_an_error_that_a_person_may_read() -> None:
    assert issubclass(XRefusalError, BemteviError)
