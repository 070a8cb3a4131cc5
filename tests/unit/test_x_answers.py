"""What X's answers mean: told by their bodies, in our words, whatever the bytes are."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bemtevi.lake.gap import Cause
from bemtevi.listen.network import CAUSES, End
from bemtevi.listen.x_answers import foreign, notice, refused

HOSTS = ("https://api.x.com/2/problems/", "https://api.twitter.com/2/problems/")
PAGE = b"<!DOCTYPE html><html><body>Please sign in</body></html>"


def body(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


def issue(name: str) -> bytes:
    return body(title="ConnectionException", connection_issue=name, type=HOSTS[0] + "streaming-connection")


@pytest.mark.parametrize(
    ("status", "content", "headers", "end", "retry_at"),
    [
        (401, body(title="Unauthorized"), {}, End.REFUSED, None),
        (401, b"", {}, End.REFUSED, None),
        (403, b"", {}, End.REFUSED, None),
        (403, PAGE, {}, End.FOREIGN, None),
        (401, PAGE, {"Content-Type": "text/html"}, End.FOREIGN, None),
        (409, issue("RuleConfigurationIssue"), {}, End.NO_RULES, None),
        (400, issue("RuleConfigurationIssue"), {}, End.NO_RULES, None),
        (400, issue("RulesInvalidIssue"), {}, End.NO_RULES, None),
        (409, b"", {}, End.NO_RULES, None),
        (503, issue("ProvisioningSubscription"), {}, End.SERVER_ERROR, None),
        (429, b"{}", {"X-Rate-Limit-Reset": "1700000000"}, End.RATE_LIMITED, 1_700_000_000.0),
        (429, b"{}", {"x-rate-limit-reset": "soon"}, End.RATE_LIMITED, None),
        (429, b"{}", {"x-rate-limit-reset": "\xb2"}, End.RATE_LIMITED, None),
        (429, body(type=HOSTS[1] + "rate-limit-exceeded"), {}, End.RATE_LIMITED, None),
        (429, issue("TooManyConnections"), {"x-rate-limit-reset": "17"}, End.TOO_MANY_CONNECTIONS, None),
        (429, body(title="CreditsDepleted"), {}, End.NO_CREDITS, None),
        (402, b"", {}, End.NO_CREDITS, None),
        (420, b"", {}, End.RATE_LIMITED, None),
        (500, b"<html>", {}, End.FOREIGN, None),
        (503, b"\xff", {}, End.SERVER_ERROR, None),
        (502, b"[" * 50_000, {}, End.SERVER_ERROR, None),
        (302, b"5", {}, End.SERVER_ERROR, None),
    ],
)
def test_what_an_answer_means(
    status: int, content: bytes, headers: dict[str, str], end: End, retry_at: float | None
) -> None:
    outcome = refused(status, content, headers)
    assert (outcome.end, outcome.retry_at) == (end, retry_at)


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize(
    ("period", "scope", "for_good", "words"),
    [
        ("Daily", "Account", False, "the daily cap of the account"),
        ("Monthly", "Product", True, "the monthly cap of the product"),
        (None, None, True, "the monthly cap"),
    ],
)
def test_a_cap_that_is_used_up_tells_of_which_period(
    host: str, period: str | None, scope: str | None, for_good: bool, words: str
) -> None:
    outcome = refused(429, body(type=host + "usage-capped", period=period, scope=scope), {})
    assert (outcome.end, outcome.for_good) == (End.USAGE_CAPPED, for_good)
    assert words in outcome.detail


@pytest.mark.parametrize("reason", ["client-not-enrolled", "official-client-forbidden"])
def test_a_client_that_is_forbidden_is_told_why(reason: str) -> None:
    outcome = refused(403, body(type=HOSTS[0] + "client-forbidden", reason=reason, detail="When …"), {})
    assert (outcome.end, outcome.for_good) == (End.REFUSED, True)
    assert "project" in outcome.detail or "app-only" in outcome.detail


DISCONNECTS = {
    "OperationalDisconnect": End.DISCONNECTED,
    "UpstreamOperationalDisconnect": End.DISCONNECTED,
    "ForceDisconnect": End.DISCONNECTED,
    "UpstreamUncleanDisconnect": End.DISCONNECTED,
    "SlowReader": End.SLOW_READER,
    "InternalError": End.DISCONNECTED,
    "ClientApplicationStateDegraded": End.DISCONNECTED,
    "InvalidRules": End.NO_RULES,
    "OneOfTheFuture": End.DISCONNECTED,
}


@pytest.mark.parametrize(("name", "end"), DISCONNECTS.items())
def test_a_disconnect_in_the_stream_tells_its_type(name: str, end: End) -> None:
    error = {
        "title": "operational-disconnect",
        "disconnect_type": name,
        "type": HOSTS[1] + "operational-disconnect",
    }
    outcome = notice(body(errors=[error]))
    assert outcome is not None
    assert outcome.end is end
    assert outcome.detail


@pytest.mark.parametrize(
    "line",
    [
        body(
            data={"id": "1", "text": "a"},
            errors=[{"title": "Not Found", "type": HOSTS[0] + "resource-not-found"}],
        ),
        body(errors=[{"title": "Not Found", "type": HOSTS[0] + "resource-not-found"}]),
        body(data={"id": "1", "text": "a", "disconnect_type": "x"}),
        b'{"errors":[{"title":"operational-disc',
        b"",
        b"[]",
        b"5",
        b'{"errors":5}',
        b"\xff",
    ],
)
def test_what_is_no_last_word_ends_nothing(line: bytes) -> None:
    assert notice(line) is None


def test_a_page_is_no_stream() -> None:
    assert foreign("text/html; charset=utf-8", b"") is not None
    assert foreign("application/json", b"  \n<HTML>") is not None
    assert foreign("application/json; charset=utf-8", b'{"data":') is None
    assert foreign("text/event-stream", b"") is None
    assert foreign("", b"") is None


@given(
    st.integers(100, 599),
    st.binary(max_size=200)
    | st.recursive(
        st.none() | st.text(max_size=300),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "title",
                        "type",
                        "detail",
                        "errors",
                        "period",
                        "scope",
                        "reason",
                        "connection_issue",
                        "disconnect_type",
                        "data",
                    ]
                ),
                inner,
            )
        ),
    ).map(lambda value: json.dumps(value).encode()),
)
def test_any_bytes_have_a_meaning_in_one_short_printable_line(status: int, content: bytes) -> None:
    for outcome in (refused(status, content, {}), notice(content)):
        if outcome is not None:
            assert outcome.detail.isprintable()
            assert len(outcome.detail) < 500


def test_every_end_has_a_cause() -> None:
    assert set(CAUSES) == set(End)
    assert set(CAUSES.values()) <= set(Cause)
