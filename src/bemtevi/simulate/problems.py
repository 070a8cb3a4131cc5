"""X's error bodies, word for word where the words are known.

Owns: status, headers and body of each refusal. When to refuse is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PROBLEMS = "https://api.x.com/2/problems/"
STREAM_RULES_PATH = "/2/tweets/search/stream/rules"


class ProblemError(Exception):
    """An answer that is not the one asked for."""

    def __init__(self, status: int, body: dict[str, Any], headers: Mapping[str, str] | None = None) -> None:
        super().__init__(body.get("detail", body.get("title", "")))
        self.status = status
        self.body = body
        self.headers = dict(headers or {})


def plain(status: int, title: str, detail: str | None = None) -> ProblemError:
    """A refusal that has no page of its own."""
    return ProblemError(
        status, {"title": title, "type": "about:blank", "status": status, "detail": detail or title}
    )


def unauthorized() -> ProblemError:
    return plain(401, "Unauthorized")


def not_found() -> ProblemError:
    return plain(404, "Not Found")


def too_many_requests(headers: Mapping[str, str]) -> ProblemError:
    problem = plain(429, "Too Many Requests")
    problem.headers.update(headers)
    return problem


def invalid_request(parameter: str | None, value: Any, message: str) -> ProblemError:
    """A parameter X would not take."""
    parameters = {parameter: [str(value)]} if parameter else {}
    body = {
        "errors": [{"parameters": parameters, "message": message}],
        "title": "Invalid Request",
        "detail": "One or more parameters to your request was invalid.",
        "type": PROBLEMS + "invalid-request",
    }
    return ProblemError(400, body)


def no_rules() -> ProblemError:
    body = {
        "title": "ConnectionException",
        "detail": f"You must define rules using the POST {STREAM_RULES_PATH} endpoint before connecting to "
        "filtered stream.",
        "connection_issue": "RuleConfigurationIssue",
        "type": PROBLEMS + "streaming-connection",
    }
    return ProblemError(409, body)


def too_many_connections() -> ProblemError:
    body = {
        "title": "ConnectionException",
        "detail": "This stream is currently at the maximum allowed connection limit.",
        "connection_issue": "TooManyConnections",
        "type": PROBLEMS + "streaming-connection",
    }
    return ProblemError(429, body)


def not_provisioned() -> ProblemError:
    body = {
        "title": "ConnectionException",
        "detail": "This stream is being provisioned for your app.",
        "connection_issue": "ProvisioningSubscription",
        "type": PROBLEMS + "streaming-connection",
    }
    return ProblemError(503, body)


def usage_capped(period: str, scope: str) -> ProblemError:
    body = {
        "title": "UsageCapExceeded",
        "detail": f"Usage cap exceeded: {period} {scope.lower()} cap",
        "type": PROBLEMS + "usage-capped",
        "period": period,
        "scope": scope,
    }
    return ProblemError(429, body)


def no_credits() -> ProblemError:
    body = {
        "title": "CreditsDepleted",
        "detail": "Your enrolled account does not have any credits to fulfill this request.",
        "type": PROBLEMS + "credits",
    }
    return ProblemError(402, body)


def client_forbidden(reason: str) -> ProblemError:
    body = {
        "title": "Client Forbidden",
        "detail": "When authenticating requests to the Twitter API v2 endpoints, you must use keys and "
        "tokens from a developer App that is attached to a Project.",
        "type": PROBLEMS + "client-forbidden",
        "reason": reason,
        "client_id": "1",
    }
    return ProblemError(403, body)


def duplicate_rule(value: str, existing_id: str) -> dict[str, Any]:
    """One entry of `errors`: the rule is there already, under that id."""
    kind = PROBLEMS + "duplicate-rules"
    return {"value": value, "id": existing_id, "title": "DuplicateRule", "type": kind}


def invalid_rule(value: str, why: str) -> dict[str, Any]:
    kind = PROBLEMS + "invalid-rules"
    return {"value": value, "details": [why], "title": "UnprocessableEntity", "type": kind}


def too_many_rules(value: str, cap: int) -> dict[str, Any]:
    detail = f"Rules must be less than or equal to the rule cap: {cap}"
    return {"value": value, "detail": detail, "title": "RulesCapExceeded", "type": PROBLEMS + "rule-cap"}


def unknown_rule(kind: str, name: str) -> dict[str, Any]:
    """One entry of `errors`: nothing to delete there."""
    return {
        "errors": [{"parameters": {kind: [name]}, "message": "Rule does not exist"}],
        "title": "Invalid Request",
        "detail": "One or more parameters to your request was invalid.",
        "type": PROBLEMS + "invalid-request",
    }
