"""X: the filtered stream of API v2, through Tweepy.

Owns the connection and the fields that are asked for; the rules are in `x_rules`, other calls in `x_client`.
Tweepy's own reconnect loop is left after one connection (it reconnects hundreds of times a second after a
clean close): the supervisor reconnects.
Facts: docs.x.com x-api/posts/filtered-stream; Tweepy 4.17 streaming.py.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import requests
import tweepy
from requests.adapters import HTTPAdapter

from bemtevi.lake.track import TrackedRule
from bemtevi.listen import x_rules
from bemtevi.listen.intake import Intake
from bemtevi.listen.message import Origin
from bemtevi.listen.network import End, Outcome, SyncResult
from bemtevi.listen.x_client import XClient, problem, rate_limit
from bemtevi.settings import LONGEST_RULE, MOST_RULES

TWEEPY_HOST = "https://api.twitter.com"
READ_BYTES = 64 * 1024  # at most: a chunk is handed on as it comes; Tweepy's 512 halves the speed

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

    def __init__(self, api_url: str) -> None:
        super().__init__()
        self._api_url = api_url
        self.response: requests.Response | None = None

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """As in the parent; the last response is kept for its body, headers and socket."""
        assert request.url is not None  # noqa: S101  a prepared request has one
        request.url = self._api_url + request.url.removeprefix(TWEEPY_HOST)
        self.response = super().send(request, *args, **kwargs)
        return self.response


class Stream(tweepy.StreamingClient):  # type: ignore[misc]  # Tweepy has no types
    """One connection: raw bytes to the intake, and how it ended."""

    def __init__(self, token: str, adapter: Adapter) -> None:
        super().__init__(token, return_type=requests.Response, chunk_size=READ_BYTES)
        self.session.mount(TWEEPY_HOST, adapter)
        self._adapter = adapter
        self.intake: Intake | None = None
        self.messages = 0
        self.outcome = Outcome(End.CLOSED)
        self.stopped = threading.Event()

    def on_connect(self) -> None:
        """Who was told to stop while the connection was being made does not begin to read."""
        self.running = not self.stopped.is_set()

    def on_data(self, raw_data: bytes) -> None:
        """A line, untouched."""
        assert self.intake is not None  # noqa: S101  set before filter()
        self.intake.put(raw_data)
        self.messages += 1

    def on_keep_alive(self) -> None:
        """Nothing to do: the read timeout watches."""

    def on_closed(self, response: requests.Response) -> None:  # noqa: ARG002  Tweepy's signature
        """The server closed a connection that stood."""
        self.running = False
        self.outcome = Outcome(End.CLOSED, "the server closed the connection")

    def on_connection_error(self) -> None:
        """No connection, or one that broke or fell silent."""
        self.running = False
        stood = self._adapter.response is not None and self._adapter.response.ok
        end = End.CLOSED if stood else End.UNREACHABLE
        self.outcome = Outcome(end, "the connection broke" if stood else "the server cannot be reached")

    def on_request_error(self, status_code: int) -> None:
        """Any answer but 200."""
        self.running = False
        response = self._adapter.response
        assert response is not None  # noqa: S101  there was a status
        self.outcome = classify(status_code, response.content, dict(response.headers))

    def on_exception(self, exception: Exception) -> None:
        """Something that Tweepy did not expect; the connection is gone."""
        self.outcome = Outcome(End.CLOSED, f"{type(exception).__name__}: {exception}")


class X:
    """The network "x"."""

    name = "x"

    def __init__(
        self, token: str, api_url: str, *, longest_rule: int = LONGEST_RULE, most_rules: int = MOST_RULES
    ) -> None:
        self._token = token
        self._api_url = api_url
        self._longest_rule = longest_rule
        self._most_rules = most_rules
        self._stopped = threading.Event()
        self._adapter: Adapter | None = None

    def origin(self, session: str) -> Origin:
        """Messages of the stream, from the host that is set."""
        return Origin(self.name, urlsplit(self._api_url).netloc, "stream", session)

    def sync(self, rules: list[TrackedRule], percent: int = 100) -> SyncResult:
        """Make X follow our rules, and no others of ours."""
        wanted = x_rules.wishes(rules, percent, self._longest_rule)
        with XClient(self._token, self._api_url) as client:
            return x_rules.sync(client, wanted, self._most_rules)

    def connect(self, intake: Intake) -> Outcome:
        """One connection to the filtered stream, until it ends."""
        if self._stopped.is_set():
            return Outcome(End.STOPPED)
        self._adapter = Adapter(self._api_url)
        stream = Stream(self._token, self._adapter)
        stream.intake, stream.stopped = intake, self._stopped
        stream.filter(**FIELDS)
        if self._stopped.is_set():
            return Outcome(End.STOPPED, messages=stream.messages)
        return replace(stream.outcome, messages=stream.messages)

    def stop(self) -> None:
        """Close the socket under the reader: Tweepy itself would notice only at the next line."""
        self._stopped.set()
        response = self._adapter.response if self._adapter is not None else None
        connection = getattr(getattr(response, "raw", None), "connection", None)
        with contextlib.suppress(OSError, AttributeError):
            sock: socket.socket = connection.sock  # type: ignore[union-attr]
            # closed with a reset: else a server that has much to send keeps the connection for a minute, and
            # refuses the next one
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.shutdown(socket.SHUT_RDWR)


def classify(status: int, body: bytes, headers: dict[str, str]) -> Outcome:
    """What an answer other than 200 means. Pure. Source: docs.x.com, response codes and errors."""
    told = problem(body)
    if status in (401, 403):
        return Outcome(End.REFUSED, told.sentence or f"HTTP {status}")
    if status == 409 or told.connection_issue == "RuleConfigurationIssue":
        return Outcome(End.NO_RULES, told.sentence)
    if status in (420, 429):
        busy = told.connection_issue == "TooManyConnections"
        retry_at = None if busy else rate_limit(headers).reset_at
        return Outcome(End.RATE_LIMITED, told.sentence or f"HTTP {status}", retry_at=retry_at)
    return Outcome(End.SERVER_ERROR, f"HTTP {status}{': ' + told.sentence if told.sentence else ''}")
