"""What X's answers and notices mean, by their bodies. Pure: bytes in, outcome out.

Owns the words for each class of failure. X says 429 to a rate limit, a used-up cap and a second connection
alike, and 401, 403 and 5xx also come from proxies: only the body tells them apart. A problem's `type` is
matched by what follows `/problems/`, since its host differs. Leaves to `schedule` how long to wait.
Source: docs.x.com, response codes and errors; X's OpenAPI description 2.166 for the disconnect types.
"""

from __future__ import annotations

from collections.abc import Mapping

from bemtevi.listen.network import End, Outcome
from bemtevi.listen.x_client import Problem, problem, rate_limit

LONGEST_DETAIL = 200
REASONS = {
    "client-not-enrolled": "the app is not part of a project with access to API v2",
    "official-client-forbidden": "the token is not an app-only bearer token of a developer's app",
}
ISSUES = {
    "TooManyConnections": End.TOO_MANY_CONNECTIONS,
    "ProvisioningSubscription": End.SERVER_ERROR,
    "RuleConfigurationIssue": End.NO_RULES,
    "RulesInvalidIssue": End.NO_RULES,
}
DISCONNECTS = {"SlowReader": End.SLOW_READER, "InvalidRules": End.NO_RULES}
WORDS = {
    "ProvisioningSubscription": "X is still setting up our access to the stream",
    "RulesInvalidIssue": "X says that a rule is not valid any more",
    "SlowReader": "X dropped us: we did not read fast enough, and what waited is lost",
    "InvalidRules": "X ended the connection: a rule is not valid any more",
}


def refused(status: int, body: bytes, headers: Mapping[str, str]) -> Outcome:
    """What an answer other than 200 means."""
    told = problem(body)
    if told == Problem() and _is_page(headers.get("Content-Type", ""), body):
        return Outcome(End.FOREIGN, f"HTTP {status} with a web page: a proxy or portal answered, not X")
    return _meant(told, status, rate_limit(headers).reset_at)


def notice(line: bytes) -> Outcome | None:
    """What a line of the stream says about the stream; None if it is anything else, as posts are.

    Errors beside `data` are about a part of a post.
    """
    told = problem(line)
    if told == Problem() or told.has_data:
        return None
    if (
        told.disconnect_type
        or told.connection_issue
        or told.kind in ("operational-disconnect", "usage-capped")
    ):
        return _meant(told, 200, None)
    return _meant(told, 200, None) if _is_about_money(told, 200) else None


def foreign(content_type: str, first: bytes) -> Outcome | None:
    """Whether an answer of 200 that begins so is no stream of X; None if it may be one."""
    if not _is_page(content_type, first):
        return None
    return Outcome(End.FOREIGN, "HTTP 200 with a web page: a proxy or portal answered, not X")


def _meant(told: Problem, status: int, retry_at: float | None) -> Outcome:
    said = _plain(told.sentence)
    with_status = f"HTTP {status}{': ' + said if said else ''}"
    if told.disconnect_type or told.kind == "operational-disconnect":
        name = told.disconnect_type or "OperationalDisconnect"
        end = DISCONNECTS.get(name, End.DISCONNECTED)
        return Outcome(end, WORDS.get(name, f"X ended the connection ({_plain(name)})"))
    if _is_about_money(told, status):
        return Outcome(End.NO_CREDITS, f"the account has no credits left ({with_status})", for_good=True)
    if told.kind == "usage-capped" or told.title == "UsageCapExceeded":
        period = told.period.lower() or "monthly"
        scope = f" of the {told.scope.lower()}" if told.scope else ""
        return Outcome(
            End.USAGE_CAPPED,
            _plain(f"the {period} cap{scope} on posts is used up"),
            for_good=period != "daily",
        )
    if told.connection_issue in ISSUES:
        end = ISSUES[told.connection_issue]
        return Outcome(end, WORDS.get(told.connection_issue, said))
    if status == 409:
        return Outcome(End.NO_RULES, said or "X has no rules of ours")
    if status in (401, 403):
        reason = REASONS.get(told.reason, said)
        return Outcome(End.REFUSED, f"HTTP {status}{': ' + reason if reason else ''}", for_good=True)
    if status in (420, 429) or told.kind == "rate-limit-exceeded":
        return Outcome(End.RATE_LIMITED, said or f"HTTP {status}", retry_at=retry_at)
    return Outcome(End.SERVER_ERROR, with_status)


def _is_about_money(told: Problem, status: int) -> bool:
    return status == 402 or told.kind == "credits" or told.title == "CreditsDepleted"


def _is_page(content_type: str, body: bytes) -> bool:
    """Whether it is a page for a browser."""
    start = body.lstrip()[:15].lower()
    return "html" in content_type.lower() or start.startswith((b"<!doctype", b"<html", b"<head", b"<body"))


def _plain(text: str) -> str:
    """Words of a server in one short line of ours."""
    line = " ".join("".join(mark if mark.isprintable() else " " for mark in text).split())
    return line if len(line) <= LONGEST_DETAIL else line[: LONGEST_DETAIL - 1] + "…"
