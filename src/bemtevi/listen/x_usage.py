"""X's own count of what was read: `GET /2/usage/tweets`.

Owns the call and the reading of its answer. Source: docs.x.com x-api/usage; limit 50 calls in 15 minutes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Any

from bemtevi.errors import BemteviError, MissingCredentialError
from bemtevi.listen.x_client import XClient

PATH = "/2/usage/tweets"


@dataclass(frozen=True)
class Usage:
    """What X says; None where it says nothing. All apps of the project together."""

    month: int | None = None
    cap: int | None = None
    reset_day: int | None = None
    days: dict[date, int] = field(default_factory=dict)


class Asking:
    """Asks X with a token, and keeps why it did not answer."""

    def __init__(self, token: str | None, api_url: str) -> None:
        self._token = token
        self._api_url = api_url
        self.problem: str | None = None

    def __call__(self) -> Usage:
        """X's count. Raises as the client, and without a token."""
        self.problem = None
        try:
            if not self._token:
                raise MissingCredentialError("No token of X is set (BEMTEVI_X_BEARER_TOKEN).")
            with XClient(self._token, self._api_url) as client:
                return ask(client)
        except BemteviError as error:
            self.problem = str(error)
            raise


def ask(client: XClient) -> Usage:
    """X's count of this month and of its last days. Raises as the client."""
    return read(client.get(PATH, days=7).body)


def read(body: dict[str, Any]) -> Usage:
    """What an answer says. Pure; takes any JSON. Numbers may come as text."""
    data = body.get("data")
    if not isinstance(data, dict):
        return Usage()
    daily = data.get("daily_project_usage")
    listed = daily.get("usage") if isinstance(daily, dict) else None
    days: dict[date, int] = {}
    for one in listed if isinstance(listed, list) else []:
        if isinstance(one, dict) and (count := _whole(one.get("usage"))) is not None:
            try:
                days[date.fromisoformat(str(one.get("date"))[:10])] = count
            except ValueError:
                continue
    reset = _whole(data.get("cap_reset_day"))
    return Usage(
        _whole(data.get("project_usage")),
        _whole(data.get("project_cap")),
        reset if reset is not None and 1 <= reset <= 31 else None,
        days,
    )


def _whole(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    text = str(value)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None
