"""X's paths, methods, headers and answers over one world.

Owns: HTTP, as X speaks it. Running the server is the business of `x`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bemtevi.simulate import problems
from bemtevi.simulate.compliance import Compliance
from bemtevi.simulate.fields import Selection
from bemtevi.simulate.limits import RateLimits
from bemtevi.simulate.problems import STREAM_RULES_PATH, ProblemError
from bemtevi.simulate.refusals import Refusals
from bemtevi.simulate.search import ALL_PAGE_SIZE, ALL_QUERY_LENGTH, Search
from bemtevi.simulate.simulation import Simulation
from bemtevi.simulate.stream import StreamResponse
from bemtevi.simulate.template import Renderer
from bemtevi.simulate.world import Connection, World

STREAM_NAME = "filtered_stream"
Handler = Callable[[Request], Awaitable[Any]]


class Endpoints:
    """The endpoints over one world."""

    def __init__(self, simulation: Simulation, world: World) -> None:
        self.world = world
        self._simulation = simulation
        self._search = Search(
            world, delay=simulation.search_delay, days=simulation.search_days, spelling=simulation.spelling
        )
        self._archive = Search(
            world,
            delay=simulation.search_delay,
            days=None,
            spelling=simulation.spelling,
            query_length=ALL_QUERY_LENGTH,
            page_size=ALL_PAGE_SIZE,
        )
        self._limits = RateLimits(enforced=simulation.enforce_limits, window=simulation.limit_window)
        self.compliance = Compliance(world.clock, simulation.compliance_seconds)
        self._refusals = Refusals(world.script, world.wire)
        self._list_pages: dict[str, int] = {}

    def routes(self) -> list[Route]:
        table: tuple[tuple[str, str, Handler], ...] = (
            ("GET", "/2/tweets/search/stream", self.stream),
            ("GET", STREAM_RULES_PATH, self.list_rules),
            ("POST", STREAM_RULES_PATH, self.change_rules),
            ("GET", STREAM_RULES_PATH + "/counts", self.count_rules),
            ("GET", "/2/tweets/search/recent", self.search_recent),
            ("GET", "/2/tweets/counts/recent", self.count_recent),
            ("GET", "/2/tweets/search/all", self.search_all),
            ("GET", "/2/tweets/counts/all", self.count_all),
            ("GET", "/2/usage/tweets", self.usage),
            ("GET", "/2/connections", self.list_connections),
            ("DELETE", "/2/connections", self.kill_connections),
            ("DELETE", "/2/connections/all", self.kill_all_connections),
            ("DELETE", "/2/connections/{endpoint}", self.kill_connections_of),
            *self.compliance.api(),
        )
        routes = [
            Route(path, self._guarded(method, path, handler), methods=[method])
            for method, path, handler in table
        ]
        return [*routes, *self.compliance.storage()]

    async def stream(self, request: Request) -> StreamResponse:
        selection = Selection(request.query_params)
        if not len(self.world.rules):
            raise problems.no_rules()
        if self.world.occupied() >= self._simulation.max_connections:
            raise problems.too_many_connections()
        return StreamResponse(
            self.world,
            self.world.connect(),
            Renderer(selection),
            keep_alive=self._simulation.keep_alive,
            headers=request.state.limits,
        )

    async def list_rules(self, request: Request) -> dict[str, Any]:
        parameters = request.query_params
        rules = self.world.rules.all()
        if "ids" in parameters:
            wanted = set(parameters["ids"].split(","))
            rules = [rule for rule in rules if rule.identity in wanted]
        size = _between(parameters.get("max_results", "1000"), "max_results", 1, 1_000)
        token = parameters.get("pagination_token")
        if token is not None and token not in self._list_pages:
            raise problems.invalid_request("pagination_token", token, "The token is not valid")
        first = self._list_pages[token] if token else 0
        shown = rules[first : first + size]
        meta: dict[str, Any] = {"sent": self.world.rules.sent(), "result_count": len(shown)}
        if first + size < len(rules):
            following = f"{first + size:016d}"
            self._list_pages[following] = first + size
            meta["next_token"] = following
        answer: dict[str, Any] = {"meta": meta}
        if shown:
            answer = {"data": [rule.shown() for rule in shown], "meta": meta}
        return answer

    async def change_rules(self, request: Request) -> tuple[int, dict[str, Any]]:
        dry_run = request.query_params.get("dry_run", "").lower() == "true"
        everything = request.query_params.get("delete_all", "").lower() == "true"
        try:
            change = msgspec.json.decode(await request.body() or b"{}", type=_RuleChange)
        except (msgspec.DecodeError, msgspec.ValidationError) as why:
            raise problems.invalid_request(None, None, f"Invalid JSON body: {why}") from why
        if (change.add is not None) + (change.delete is not None) + everything != 1:
            raise problems.invalid_request(
                None, None, "Exactly one of add, delete and delete_all must be given"
            )
        rules = self.world.rules
        if change.add is not None:
            if not change.add:
                raise problems.invalid_request("add", [], "$.add: array must have at least 1 item")
            return 201, rules.add([msgspec.structs.asdict(entry) for entry in change.add], dry_run=dry_run)
        deletion = change.delete or _Deletion()
        if not everything and not deletion.ids and not deletion.values:
            raise problems.invalid_request("delete", "{}", "$.delete: ids or values must be given")
        return 200, rules.delete(deletion.ids, deletion.values, everything=everything, dry_run=dry_run)

    async def count_rules(self, _request: Request) -> dict[str, Any]:
        count, cap = len(self.world.rules), str(self.world.rules.cap)
        own = {"client_app_id": "1", "rule_count": count}
        counts = {"cap_per_client_app": cap, "cap_per_project": cap, "client_app_rules_count": own}
        return {"data": counts | {"project_rules_count": str(count), "all_project_client_apps": [own]}}

    async def search_recent(self, request: Request) -> dict[str, Any]:
        return self._search.page(request.query_params)

    async def count_recent(self, request: Request) -> dict[str, Any]:
        return self._search.counts(request.query_params)

    async def search_all(self, request: Request) -> dict[str, Any]:
        return self._archive.page(request.query_params)

    async def count_all(self, request: Request) -> dict[str, Any]:
        return self._archive.counts(request.query_params)

    async def usage(self, request: Request) -> dict[str, Any]:
        days = _between(request.query_params.get("days", "7"), "days", 1, 90)
        daily = sorted(self.world.usage.items())[-days:]
        usage = [{"date": date, "usage": str(count)} for date, count in daily]
        total = str(sum(self.world.usage.values()))
        data = {"cap_reset_day": 1, "project_cap": "3000000", "project_id": "1", "project_usage": total}
        if usage:
            data |= {"daily_project_usage": {"project_id": "1", "usage": usage}}
        return {"data": data}

    async def list_connections(self, request: Request) -> dict[str, Any]:
        status = request.query_params.get("status", "active")
        if status not in ("active", "inactive", "all"):
            message = f"The `status` query parameter value [{status}] is not one of [active,inactive,all]"
            raise problems.invalid_request("status", status, message)
        size = _between(request.query_params.get("max_results", "10"), "max_results", 1, 100)
        stale = [connection for connection, _ in self.world.stale.values()]
        active = [*stale, *self.world.connections.values()] if status != "inactive" else []
        past = list(self.world.past) if status != "active" else []
        wanted = request.query_params.get("endpoints", STREAM_NAME).split(",")
        found = (*reversed(active), *reversed(past)) if STREAM_NAME in wanted else ()
        shown = [_shown(connection) for connection in found][:size]
        answer: dict[str, Any] = {"meta": {"result_count": len(shown)}}
        return {"data": shown, **answer} if shown else answer

    async def kill_connections(self, request: Request) -> dict[str, Any]:
        try:
            wanted = msgspec.json.decode(await request.body() or b"{}", type=dict[str, list[str]]).get(
                "uuids", []
            )
        except (msgspec.DecodeError, msgspec.ValidationError) as why:
            raise problems.invalid_request(None, None, f"Invalid JSON body: {why}") from why
        if not wanted:
            raise problems.invalid_request("uuids", [], "$.uuids: array must have at least 1 item")
        return self._kill(wanted)

    async def kill_all_connections(self, _request: Request) -> dict[str, Any]:
        known = [connection.identity for connection in self.world.connections.values()]
        return self._kill([*known, *self.world.stale])

    async def kill_connections_of(self, request: Request) -> dict[str, Any]:
        if request.path_params["endpoint"] != STREAM_NAME:
            return self._kill([])
        return await self.kill_all_connections(request)

    def _kill(self, identities: list[str]) -> dict[str, Any]:
        known = {connection.identity: connection for connection in self.world.connections.values()}
        results: list[dict[str, Any]] = []
        for identity in identities:
            if identity in known:
                self.world.disconnect(known[identity], "terminated")
                results.append({"uuid": identity, "success": True})
            elif self.world.terminate_stale(identity):
                results.append({"uuid": identity, "success": True})
            else:
                results.append({"uuid": identity, "success": False, "error_message": "Connection not found"})
        killed = sum(result["success"] for result in results)
        data = {"successful_kills": killed, "failed_kills": len(results) - killed, "results": results}
        return {"data": data}

    def _guarded(self, method: str, path: str, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        """The handler behind authorization, rate limits and faults, its answer as JSON."""
        of = _kind_of(path)

        async def answer(request: Request) -> Response:
            try:
                if of == "stream":
                    self.world.script.connects += 1
                self._authorize(request)
                request.state.limits = self._limits.spend(method, path)
                instead = self._refusals.answer(of, request.state.limits)
                if instead is not None:
                    self.world.record.refused(of, instead.status_code, type(instead).__name__.lower())
                    return instead
                made = await handler(request)
            except ProblemError as problem:
                limits = getattr(request.state, "limits", {})
                why = str(problem.body.get("connection_issue") or problem.body.get("title"))
                self.world.record.refused(of, problem.status, why)
                return as_json(problem.body, problem.status, limits | problem.headers)
            if isinstance(made, StreamResponse):
                return made  # type: ignore[return-value]
            status, body = made if isinstance(made, tuple) else (200, made)
            return as_json(body, status, request.state.limits)

        return answer

    def _authorize(self, request: Request) -> None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        expected = self._simulation.token
        if scheme.lower() != "bearer" or not token or (expected is not None and token != expected):
            raise problems.unauthorized()


def _kind_of(path: str) -> str:
    """What a path is about, in the words of the faults."""
    if path.startswith(STREAM_RULES_PATH):
        return "rules"
    last = path.removeprefix("/2/tweets/")
    if last == "search/stream":
        return "stream"
    return last.split("/")[0] if last != path else path.split("/")[2]


class _NewRule(msgspec.Struct):
    value: str
    tag: str | None = None


class _Deletion(msgspec.Struct):
    ids: list[str] | None = None
    values: list[str] | None = None


class _RuleChange(msgspec.Struct):
    add: list[_NewRule] | None = None
    delete: _Deletion | None = None


def _shown(connection: Connection) -> dict[str, str]:
    shown = {"id": connection.identity, "endpoint_name": STREAM_NAME, "client_ip": "127.0.0.1"}
    shown["connected_at"] = _time(connection.opened)
    if connection.closed is not None:
        shown |= {"disconnected_at": _time(connection.closed), "disconnect_reason": connection.reason}
    return shown


def _time(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _between(given: str, name: str, least: int, most: int) -> int:
    if not (given.isascii() and given.isdigit() and least <= int(given) <= most):
        message = f"The `{name}` query parameter value [{given}] is not between {least} and {most}"
        raise problems.invalid_request(name, given, message)
    return int(given)


def as_json(body: Any, status: int, headers: dict[str, str]) -> Response:
    return Response(msgspec.json.encode(body), status, headers, media_type="application/json; charset=utf-8")
