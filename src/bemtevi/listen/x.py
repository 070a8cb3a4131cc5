"""X: the filtered stream of API v2, through Tweepy.

Owns the connection and the fields that are asked for. What X's answers mean is in `x_answers`, what no answer
means in `x_failures`, the rules are in `x_rules`, other calls in `x_client`. Tweepy's own reconnect loop is
left after one connection (it reconnects hundreds of times a second after a clean close): the supervisor does.
Facts: docs.x.com x-api/posts/filtered-stream; Tweepy 4.17 streaming.py.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import msgspec
import requests
import tweepy
from requests.adapters import HTTPAdapter

from bemtevi.lake.track import TrackedRule
from bemtevi.listen import x_answers, x_rules
from bemtevi.listen.dialects import x_v2
from bemtevi.listen.intake import Intake
from bemtevi.listen.message import Origin
from bemtevi.listen.network import End, Outcome, SyncResult
from bemtevi.listen.x_client import XClient
from bemtevi.listen.x_failures import SILENT, broken, unreachable
from bemtevi.settings import LONGEST_RULE, MOST_RULES

TWEEPY_HOST = "https://api.twitter.com"
CONNECTIONS = "/2/connections"
CONNECT_SECONDS = 10.0
SILENCE_SECONDS = 22.0
"""X sends at least a keep-alive every 20 s."""
SAME_SECONDS = 10.0
"""A connection at X began so near to a connect of ours: it is ours."""
LARGEST_NOTICE = 4096
LARGEST_PAGE = 64 * 1024
READ_BYTES = 64 * 1024  # at most: a chunk is handed on as it comes; Tweepy's 512 halves the speed
ERRORS = b'{"errors":'

FIELDS = {
    "expansions": (
        "author_id,referenced_tweets.id,referenced_tweets.id.author_id,in_reply_to_user_id,"
        "attachments.media_keys,entities.mentions.username,geo.place_id,edit_history_tweet_ids"
    ),
    "tweet_fields": (
        "id,text,created_at,author_id,conversation_id,in_reply_to_user_id,referenced_tweets,entities,"
        "note_tweet,lang,source,possibly_sensitive,public_metrics,edit_history_tweet_ids,edit_controls,"
        "geo,attachments,withheld,reply_settings,display_text_range,context_annotations"
    ),
    "user_fields": (
        "id,username,name,description,location,url,verified,verified_type,protected,created_at,"
        "public_metrics,profile_image_url,entities,withheld"
    ),
    "media_fields": "media_key,type,url,preview_image_url,alt_text,duration_ms,height,width",
    "place_fields": "id,full_name,name,place_type,country,country_code,geo,contained_within",
}


class Adapter(HTTPAdapter):
    """Sends what Tweepy addresses to its fixed host to ours, and keeps what Tweepy throws away."""

    def __init__(self, api_url: str, silence_seconds: float) -> None:
        super().__init__()
        self._api_url = api_url
        self._silence_seconds = silence_seconds
        self.response: requests.Response | None = None

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """As in the parent; the last response is kept for its body, headers and socket."""
        assert request.url is not None  # noqa: S101  a prepared request has one
        request.url = self._api_url + request.url.removeprefix(TWEEPY_HOST)
        kwargs["timeout"] = (CONNECT_SECONDS, self._silence_seconds)
        self.response = super().send(request, *args, **kwargs)
        self.response.headers.pop("Location", None)  # a portal's redirect is followed by nobody
        return self.response


class Stream(tweepy.StreamingClient):  # type: ignore[misc]  # Tweepy has no types
    """One connection: raw bytes to the intake, and how it ended."""

    def __init__(
        self,
        token: str,
        adapter: Adapter,
        intake: Intake,
        connected: Callable[[], None],
        stopped: threading.Event,
    ) -> None:
        super().__init__(token, return_type=requests.Response, chunk_size=READ_BYTES)
        self.session.mount(TWEEPY_HOST, adapter)
        self._adapter = adapter
        self._intake = intake
        self._connected = connected
        self._stopped = stopped
        self.messages = 0
        self.keep_alives = 0
        self.last = b""
        """The newest message."""
        self.outcome = Outcome(End.CLOSED)

    def on_connect(self) -> None:
        """Who was told to stop while the connection was being made does not begin to read."""
        response = self._adapter.response
        assert response is not None  # noqa: S101  there was a status
        page = x_answers.foreign(response.headers.get("Content-Type", ""), b"")
        if page is not None:
            self.outcome = page
            self.running = False
            self._keep(next(response.iter_content(LARGEST_PAGE), b""))
            return
        self.running = not self._stopped.is_set()
        if self.running:
            self._connected()

    def on_data(self, raw_data: bytes) -> None:
        """A line, untouched."""
        if not self.messages and (page := x_answers.foreign("", raw_data)):
            self.outcome = page
            self.running = False
        self._intake.put(raw_data)
        self.messages += 1
        self.last = raw_data
        if raw_data.startswith(ERRORS):
            self._read_notice(raw_data)

    def on_keep_alive(self) -> None:
        """A sign of life."""
        self.keep_alives += 1

    def on_closed(self, response: requests.Response) -> None:  # noqa: ARG002  Tweepy's signature
        """The server closed a connection that stood."""
        if self.running:
            self.running = False
            self.outcome = x_answers.notice(self._short(self.last)) or Outcome(
                End.CLOSED, "the server closed the connection"
            )

    def on_connection_error(self) -> None:
        """No connection, or one that broke or fell silent."""
        self.running = False
        error = sys.exception()
        stood = self._adapter.response is not None and self._adapter.response.ok
        told = x_answers.notice(self._short(self.last))
        self.outcome = told or (broken(error) if stood else unreachable(error))

    def on_request_error(self, status_code: int) -> None:
        """Any answer but 200."""
        self.running = False
        response = self._adapter.response
        assert response is not None  # noqa: S101  there was a status
        body = next(response.iter_content(LARGEST_PAGE), b"")
        self.outcome = x_answers.refused(status_code, body, response.headers)
        if self.outcome.end is End.FOREIGN:
            self._keep(body)

    def on_exception(self, exception: Exception) -> None:
        """Something that Tweepy did not expect; the connection is gone."""
        stood = self._adapter.response is not None and self._adapter.response.ok
        self.outcome = broken(exception) if stood else unreachable(exception)

    def _read_notice(self, line: bytes) -> None:
        """Errors of their own may be the last thing that X says."""
        told = x_answers.notice(self._short(line))
        if told is not None:
            self.outcome = told
            self.running = False

    def _keep(self, page: bytes) -> None:
        """What answered in X's place, for the quarantine."""
        if page:
            self._intake.put(page)

    @staticmethod
    def _short(line: bytes) -> bytes:
        """A notice is short: a long line is a post, and is not parsed here."""
        return line if len(line) <= LARGEST_NOTICE else b""


class X:
    """The network "x"."""

    name = "x"

    def __init__(
        self,
        token: str,
        api_url: str,
        *,
        silence_seconds: float = SILENCE_SECONDS,
        longest_rule: int = LONGEST_RULE,
        most_rules: int = MOST_RULES,
    ) -> None:
        self._token = token
        self._api_url = api_url
        self._silence_seconds = silence_seconds
        self._longest_rule = longest_rule
        self._most_rules = most_rules
        self._stopped = threading.Event()
        self._silent = threading.Event()
        self._adapter: Adapter | None = None
        self._stream: Stream | None = None

    def origin(self, session: str) -> Origin:
        """Messages of the stream, from the host that is set."""
        return Origin(self.name, urlsplit(self._api_url).netloc, "stream", session)

    def sync(
        self,
        rules: list[TrackedRule],
        percent: int = 100,
        giving: Callable[[Sequence[str]], None] = lambda _: None,
    ) -> SyncResult:
        """Make X follow our rules, and no others of ours."""
        wanted = x_rules.wishes(rules, percent, self._longest_rule)
        # told in the words of our list, whatever form they have at X
        listed = {wish.value: rule.value for wish, rule in zip(wanted, rules, strict=True)}
        with XClient(self._token, self._api_url) as client:
            result = x_rules.sync(
                client, wanted, self._most_rules, lambda values: giving([listed[value] for value in values])
            )
        return replace(
            result,
            added=tuple(listed[value] for value in result.added),
            reformed=tuple(listed[value] for value in result.reformed),
            refused=tuple(replace(told, value=listed[told.value]) for told in result.refused),
        )

    def connect(self, intake: Intake, connected: Callable[[], None]) -> Outcome:
        """One connection to the filtered stream, until it ends."""
        if self._stopped.is_set():
            return Outcome(End.STOPPED)
        self._silent.clear()
        self._adapter = adapter = Adapter(self._api_url, self._silence_seconds)
        self._stream = stream = Stream(self._token, adapter, intake, connected, self._stopped)
        try:
            stream.filter(**FIELDS)
        finally:
            if adapter.response is not None:
                adapter.response.close()
        outcome = replace(stream.outcome, messages=stream.messages)
        if self._stopped.is_set():
            return replace(outcome, end=End.STOPPED)
        if self._silent.is_set():
            return replace(outcome, end=End.SILENT, detail=SILENT)
        return outcome

    def heard(self) -> int:
        """Lines and keep-alives of the present connection."""
        stream = self._stream
        return 0 if stream is None else stream.messages + stream.keep_alives

    def latest(self) -> float | None:
        """The time in the id of the newest post."""
        stream = self._stream
        try:
            at = None if stream is None or not stream.last else x_v2.read(stream.last)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        return None if at is None or at.event_at is None else at.event_at / 1_000_000

    def free(self, connects: Sequence[float]) -> int:
        """Delete at X the connections that began with a connect of ours."""
        with XClient(self._token, self._api_url) as client:
            answer = client.get(CONNECTIONS, status="active", endpoints="filtered_stream", max_results=100)
            ahead = 0.0 if answer.at is None else answer.at.timestamp() - time.time()
            ours = [
                str(one["id"])
                for one in answer.body.get("data") or []
                if isinstance(one, dict) and "id" in one and _is_ours(one, connects, ahead)
            ]
            if ours:
                client.delete(CONNECTIONS, {"uuids": ours})
        return len(ours)

    def drop(self) -> None:
        """End a connection that is silent."""
        self._silent.set()
        self._cut()

    def stop(self) -> None:
        """End the connection for good."""
        self._stopped.set()
        self._cut()

    def _cut(self) -> None:
        """Close the socket under the reader: Tweepy itself would notice only at the next line."""
        response = self._adapter.response if self._adapter is not None else None
        connection = getattr(getattr(response, "raw", None), "connection", None)
        with contextlib.suppress(OSError, AttributeError):
            sock: socket.socket = connection.sock  # type: ignore[union-attr]
            # closed with a reset: else a server that has much to send keeps the connection for a minute, and
            # refuses the next one
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.shutdown(socket.SHUT_RDWR)


def _is_ours(connection: dict[str, Any], connects: Sequence[float], ahead: float) -> bool:
    """Whether a connection at X, whose clock is so far ahead of ours, began with a connect of ours."""
    try:
        began = datetime.fromisoformat(str(connection.get("connected_at"))).timestamp() - ahead
    except ValueError:
        return False
    return any(abs(began - at) <= SAME_SECONDS for at in connects)
