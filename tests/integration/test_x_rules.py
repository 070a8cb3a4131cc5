"""X's rules made equal to ours: what is refused, what is somebody else's, and answers of odd shapes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.scripted import Asked, Reply, Scripted, scripted

from bemtevi.errors import NetworkError
from bemtevi.lake.track import TrackedRule, rule_tag
from bemtevi.listen import x_rules
from bemtevi.listen.network import Refusal, SyncResult
from bemtevi.listen.x_client import XClient
from bemtevi.listen.x_rules import ServerRule, plan, refusals
from bemtevi.simulate import RunningX, Simulation, running_x

DUPLICATE = "https://api.twitter.com/2/problems/duplicate-rules"
INVALID = "https://api.x.com/2/problems/invalid-rules"


def wished(*values: str, percent: int = 100) -> list[ServerRule]:
    rules = [TrackedRule("x", value, rule_tag("x", value), datetime.now(UTC)) for value in values]
    return x_rules.wishes(rules, percent, 1_024)


def synced(server: RunningX | Scripted, *values: str, most: int = 1_000, percent: int = 100) -> SyncResult:
    with XClient("any", server.url) as client:
        return x_rules.sync(client, wished(*values, percent=percent), most)


def there(server: RunningX) -> list[str]:
    with XClient("any", server.url) as client:
        return [rule.value for rule in x_rules.read(client)]


def give(server: RunningX, **tags: str) -> None:
    with XClient("any", server.url) as client:
        entries = [{"value": value, "tag": tag} for value, tag in tags.items()]
        assert "errors" not in client.post(x_rules.PATH, {"add": entries}).body


def test_what_x_refuses_is_told_rule_by_rule_and_the_rest_is_done() -> None:
    with running_x(Simulation()) as server:
        give(server, **{"#old": rule_tag("x", "#old")})
        result = synced(server, "#good", "lang:pt", "#good2", "(#open")
        assert result.added == ("#good", "#good2")
        assert [refusal.value for refusal in result.refused] == ["lang:pt", "(#open"]
        assert "standalone" in result.refused[0].reason
        assert (result.removed, result.active, result.foreign) == (("#old",), 2, 0)
        assert there(server) == ["#good", "#good2"]
        again = synced(server, "#good", "#good2")
        percents = {rule_tag("x", value): 100 for value in ("#good", "#good2")}
        assert again == SyncResult((), (), 0, (), 2, (), percents)


def test_over_the_cap_the_oldest_of_ours_are_followed_and_the_rest_is_told() -> None:
    with running_x(Simulation()) as server:
        give(server, **{"#theirs": "somebody", "#stale": "bemtevi:0"})
        result = synced(server, *(f"#a{number}" for number in range(5)), most=4)
        assert there(server) == ["#theirs", "#a0", "#a1", "#a2"]
        assert [refusal.value for refusal in result.refused] == ["#a3", "#a4"]
        assert "4 rules" in result.refused[0].reason


def test_a_rule_that_changes_its_form_is_never_absent() -> None:
    """The new one is given before the old one is taken; the tag, and with it our id, stays."""
    with running_x(Simulation()) as server:
        synced(server, "#a", "#b OR #c")
        sampled = synced(server, "#a", "#b OR #c", percent=25)
        assert (sampled.active, sampled.added, sampled.removed) == (2, (), ())
        assert sampled.reformed == ("#a sample:25", "(#b OR #c) sample:25")
        assert sampled.percents == {rule_tag("x", "#a"): 25, rule_tag("x", "#b OR #c"): 25}
        with XClient("any", server.url) as client:
            now = {rule.value: rule.tag for rule in x_rules.read(client)}
        tags = {"#a sample:25": rule_tag("x", "#a"), "(#b OR #c) sample:25": rule_tag("x", "#b OR #c")}
        assert now == tags
        assert synced(server, "#a", "#b OR #c", percent=25).added == ()
        assert synced(server, "#a", "#b OR #c").reformed == ("#a", "#b OR #c")
    asked: list[str] = []

    def script(request: Asked) -> Reply:
        if request.method == "GET":
            return Reply({"data": [{"id": 7, "value": "#a", "tag": rule_tag("x", "#a")}], "meta": {}})
        asked.extend(json.loads(request.body))
        return Reply({"meta": {}}, 201)

    with scripted(script) as server2:
        synced(server2, "#a", percent=25)
    assert asked == ["add", "delete"]


def test_numeric_ids_missing_tags_and_nulls_are_no_matter() -> None:
    pages: list[dict[str, Any]] = [
        {
            "data": [{"id": 1166, "value": "#theirs"}, {"id": 1167, "value": "#b", "tag": None}],
            "meta": {"next_token": 7},
        },
        {"data": [{"id": 1168, "value": "#old", "tag": "bemtevi:0"}], "meta": None},
    ]

    def script(request: Asked) -> Reply:
        if request.method == "GET":
            return Reply(pages["pagination_token=7" in request.path])
        return Reply({"meta": {"summary": {"created": 1}}}, 201)

    with scripted(script) as server:
        result = synced(server, "#new")
    assert (result.added, result.removed, result.foreign) == (("#new",), ("#old",), 2)
    bodies = [json.loads(asked.body) for asked in server.asked if asked.method == "POST"]
    assert bodies == [
        {"add": [{"value": "#new", "tag": rule_tag("x", "#new")}]},
        {"delete": {"ids": ["1168"]}},
    ]


def test_a_token_of_pages_that_comes_again_is_the_end() -> None:
    page = Reply({"data": [{"id": "1", "value": "#a"}], "meta": {"next_token": "again"}})
    with scripted(lambda _: page) as server, XClient("any", server.url) as client:
        assert len(x_rules.read(client)) == 2


def test_a_call_of_which_x_takes_nothing() -> None:
    """X may answer 400 then, with the reasons in it."""
    errors = [{"value": "#bad", "details": ["No.", "Really."], "title": "Invalid", "type": INVALID}]

    def script(request: Asked) -> Reply:
        return Reply({"meta": {}}) if request.method == "GET" else Reply({"errors": errors}, 400)

    with scripted(script) as server:
        assert synced(server, "#bad").refused == (Refusal("#bad", "No.; Really"),)


def test_a_rule_that_somebody_adds_meanwhile_is_no_refusal() -> None:
    errors = [{"value": "#a", "id": "9", "title": "DuplicateRule", "type": DUPLICATE}]

    def script(request: Asked) -> Reply:
        return Reply({"meta": {}}) if request.method == "GET" else Reply({"errors": errors}, 201)

    with scripted(script) as server:
        assert synced(server, "#a").refused == ()


def test_a_rule_that_is_not_taken_without_a_word_is_told() -> None:
    body = {"data": [{"id": "1", "value": "#a"}], "meta": {"summary": {"created": 1, "not_created": 1}}}
    (refusal,) = refusals(body, wished("#a", "#b"))
    assert refusal.value == "#b"


def test_a_list_of_rules_in_another_shape_is_one_sentence() -> None:
    with (
        scripted(lambda _: Reply({"data": [1]})) as server,
        pytest.raises(NetworkError, match="list of rules"),
    ):
        synced(server, "#a")


def test_asking_changes_nothing() -> None:
    with running_x(Simulation()) as server:
        give(server, **{"#theirs": "", "#moved": "bemtevi:0", "#stale": "bemtevi:1"})
        before = there(server)
        with XClient("any", server.url) as client:
            change = plan(wished("#a", "#moved", "#theirs", "lang:pt"), x_rules.read(client))
            refused = x_rules.ask(client, change)
            assert x_rules.cap(client) == 1_000
        assert [refusal.value for refusal in refused] == ["lang:pt"]
        assert [rule.value for rule in change.add] == ["#a", "#moved", "lang:pt"]
        assert [rule.value for rule in change.remove] == ["#moved", "#stale"]
        assert [rule.value for rule in change.taken] == ["#theirs"]
        assert there(server) == before


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.sampled_from(
                ["errors", "value", "details", "title", "type", "meta", "summary", "not_created", "data"]
            )
            | st.text(),
            inner,
        )
    ),
)


@given(st.dictionaries(st.sampled_from(["errors", "meta", "data"]), json_values))
def test_any_answer_can_be_read(body: dict[str, Any]) -> None:
    found = refusals(body, wished("#a", "#b"))
    assert {refusal.value for refusal in found} <= {"#a", "#b"}


values = st.sampled_from(["#a", "#b", "#c", "#d"])
tags = st.sampled_from(["", "else", "bemtevi:0", *(rule_tag("x", value) for value in ("#a", "#b"))])


@given(st.lists(values, unique=True), st.dictionaries(values, tags))
def test_a_plan_leads_to_the_list_and_leaves_others_alone(ours: list[str], server: dict[str, str]) -> None:
    wanted = wished(*ours)
    existing = [ServerRule(str(number), value, tag) for number, (value, tag) in enumerate(server.items())]
    change = plan(wanted, existing)
    after = {rule.value: rule.tag for rule in existing if rule not in change.remove}
    assert not {rule.value for rule in change.add} & set(after)
    after |= {rule.value: rule.tag for rule in change.add}
    assert set(ours) <= set(after)
    assert all(after[rule.value] == rule.tag for rule in existing if not rule.is_ours)
    assert {value for value, tag in after.items() if tag.startswith("bemtevi:")} <= set(ours)
    assert len(after) == change.total
    settled = [ServerRule(value, value, tag) for value, tag in after.items()]
    assert (plan(wanted, settled).add, plan(wanted, settled).remove) == ((), ())
