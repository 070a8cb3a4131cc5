"""X's rules: what its server follows for us, made equal to our list.

Owns the calls about rules and the comparison of theirs with ours. Ours are known by their tag
(`lake/track.py`); those of others share the app and are left alone. Leaves the stream to `x`.
Source: docs.x.com x-api/posts/filtered-stream, build a rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bemtevi.errors import NetworkError, UsageError
from bemtevi.lake.track import TAG_PREFIX, TrackedRule
from bemtevi.listen.network import SyncResult
from bemtevi.listen.x_client import XClient

PATH = "/2/tweets/search/stream/rules"
RULES_A_CALL = 100


@dataclass(frozen=True)
class ServerRule:
    """A rule as X has it. An id may come as a number, a tag may be missing."""

    identity: str
    value: str
    tag: str = ""

    @property
    def is_ours(self) -> bool:
        """Whether bemtevi gave it, in this run or a former one."""
        return self.tag.startswith(TAG_PREFIX)


def sync(client: XClient, rules: Sequence[TrackedRule]) -> SyncResult:
    """Make X follow our rules, and no others of ours. Repeating it changes nothing.

    Raises UsageError for a rule that X does not accept, else as the client.
    """
    existing = read(client)
    wanted = {rule.value: rule.tag for rule in rules}
    stale = [rule for rule in existing if rule.is_ours and wanted.get(rule.value) != rule.tag]
    for start in range(0, len(stale), RULES_A_CALL):
        ids = [rule.identity for rule in stale[start : start + RULES_A_CALL]]
        client.post(PATH, {"delete": {"ids": ids}})
    gone = {rule.identity for rule in stale}
    present = {rule.value for rule in existing if rule.identity not in gone}
    missing = [rule for rule in rules if rule.value not in present]
    for start in range(0, len(missing), RULES_A_CALL):
        _add(client, missing[start : start + RULES_A_CALL])
    return SyncResult(
        tuple(rule.value for rule in missing),
        tuple(rule.value for rule in stale),
        sum(not rule.is_ours for rule in existing),
    )


def read(client: XClient) -> list[ServerRule]:
    """All rules of the app, ours and others'. Raises as the client."""
    rules: list[ServerRule] = []
    more: dict[str, str] = {}
    while True:
        body = client.get(PATH, **more).body
        try:
            rules += [_server_rule(rule) for rule in body.get("data") or []]
            token = (body.get("meta") or {}).get("next_token")
        except (AttributeError, KeyError, TypeError) as error:
            raise NetworkError(
                f"What answers at {client.api_url} does not speak X ({type(error).__name__} in its list of "
                "rules): check BEMTEVI_X_API_URL."
            ) from None
        if not token:
            return rules
        more = {"pagination_token": str(token)}


def _server_rule(rule: dict[str, Any]) -> ServerRule:
    return ServerRule(str(rule["id"]), str(rule["value"]), str(rule.get("tag") or ""))


def _add(client: XClient, rules: Sequence[TrackedRule]) -> None:
    """Add rules; a duplicate is no error, an invalid one is."""
    body = client.post(PATH, {"add": [{"value": rule.value, "tag": rule.tag} for rule in rules]}).body
    for problem in body.get("errors") or []:
        if str(problem.get("type", "")).endswith("/duplicate-rules"):
            continue
        details = "; ".join(problem.get("details") or [problem.get("detail") or problem.get("title", "")])
        raise UsageError(
            f"X does not accept the rule {problem.get('value')!r}: {details} "
            "Remove it with `bemtevi track --remove` and add it again, mended."
        )
