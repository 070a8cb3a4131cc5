"""Tweepy's own client against the simulated X: nobody's idea of the protocol but theirs."""

from __future__ import annotations

from typing import Any

import tweepy
from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter

from bemtevi.simulate import Simulation, running_x


class Redirected(HTTPAdapter):
    """Sends what is meant for X to another server."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url

    def send(self, request: PreparedRequest, *positional: Any, **named: Any) -> Response:
        assert request.url is not None
        request.url = request.url.replace("https://api.twitter.com", self._url)
        return super().send(request, *positional, **named)


class Listener(tweepy.StreamingClient):  # type: ignore[misc]
    """Keeps what comes until there is enough."""

    def __init__(self, url: str, wanted: int) -> None:
        super().__init__("a token", max_retries=0)
        self.session.mount("https://api.twitter.com", Redirected(url))
        self.received: list[Any] = []
        self.failures: list[Any] = []
        self._wanted = wanted

    def on_response(self, response: Any) -> None:
        self.received.append(response)
        if len(self.received) == self._wanted:
            self.disconnect()

    def on_request_error(self, status_code: int) -> None:
        self.failures.append(status_code)

    def on_exception(self, exception: Exception) -> None:
        self.failures.append(exception)


def test_tweepy_adds_rules_streams_and_deletes_them() -> None:
    with running_x(Simulation(rate=2_000, topics=("covid19", "vacinação"))) as server:
        listener = Listener(server.url, 200)
        rules = [tweepy.StreamRule("#covid19", "c"), tweepy.StreamRule("#vacinação -is:retweet", "v")]
        added = listener.add_rules(rules)
        assert [rule.tag for rule in added.data] == ["c", "v"]
        listener.filter(
            tweet_fields=["created_at", "entities", "public_metrics", "referenced_tweets"],
            expansions=["author_id", "referenced_tweets.id", "referenced_tweets.id.author_id"],
            user_fields=["description", "public_metrics"],
        )
        assert not listener.failures
        assert len(listener.received) == 200
        names = {rule.id: rule.tag for rule in added.data}
        for response in listener.received:
            assert response.data.created_at.year > 2025
            assert response.data.author_id in {user.id for user in response.includes["users"]}
            assert all(names[rule.id] == rule.tag for rule in response.matching_rules)
        listed = listener.get_rules()
        assert [rule.id for rule in listed.data] == [rule.id for rule in added.data]
        deleted = listener.delete_rules([rule.id for rule in listed.data])
        assert deleted.meta["summary"]["deleted"] == 2
        assert listener.get_rules().data is None


def test_tweepy_searches_and_counts() -> None:
    with running_x(Simulation(rate=5_000, limit=1_000, pool=0, search_delay=0)) as server:
        client = tweepy.Client("a token", return_type=tweepy.Response)
        client.session.mount("https://api.twitter.com", Redirected(server.url))
        while not server.world.exhausted:
            pass
        pages = tweepy.Paginator(client.search_recent_tweets, "#covid19", max_results=100)
        found = [post.id for post in pages.flatten()]
        assert len(found) == len(set(found)) > 50
        counted = client.get_recent_tweets_count("#covid19", granularity="day")
        assert counted.meta["total_tweet_count"] == len(found)
