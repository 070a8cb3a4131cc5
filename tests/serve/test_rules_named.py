"""Which hashtags a rule asks for by name: for the command line and the server alike."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from bemtevi.lake.track import TrackedRule
from bemtevi.serve.coverage import named, rules_about, rules_of


def rule(value: str) -> TrackedRule:
    return TrackedRule("x", value, f"bemtevi:{value}", datetime(2026, 11, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("value", "hashtags"),
    [
        ("#Covid19", {"covid19"}),
        ("#a OR (#b lang:pt)", {"a", "b"}),
        ("#vacina -#spam", {"vacina"}),
        ("vacina lang:pt", set()),
    ],
)
def test_a_rule_names_what_it_asks_for_and_not_what_it_excludes(value: str, hashtags: set[str]) -> None:
    assert named(rule(value)) == hashtags


def test_the_server_and_the_command_line_choose_the_same_rules() -> None:
    rules = [rule("#vacina -#spam"), rule("#spam")]
    assert rules_about(rules, "spam") == rules_of(rules, "spam", None) == [rules[1]]
