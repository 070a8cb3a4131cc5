"""Hashtags that come together: pairs inside the posts of a selection, and the network they make.

Owns the pair counts (a post counts once a pair, its first 20 hashtags only), NPMI (Bouma 2009), G2 (Dunning
1993), the backbone (disparity filter, Serrano et al. 2009), the placing of the picture, and GEXF. Every
collected post has a followed hashtag, so pairs are told conditional on the selection and its own hashtag is
left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np

from bemtevi.serve.ask.selection import Question, Selection

MOST_TAGS = 20
LEAST_TOGETHER = 3
ALPHA = 0.05
MOST_NODES = 60
ROUNDS = 300


def pairs(selection: Selection, limit: int) -> Question:
    """`one, other, together, authors, one_posts, other_posts, posts`; most together first."""
    return selection.question(
        f"""
        with tagged as (
          select bridge.network, bridge.post_id, bridge.hashtag, post.author_key
          from bridge_post_hashtag as bridge
          inner join (select network, post_id, author_key from ({selection.posts})) as post
            using (network, post_id)
          where {selection.when("bridge")} and bridge.position <= {MOST_TAGS}
            {"and bridge.hashtag <> $hashtag" if selection.hashtag is not None else ""}
        ),
        alone as (select hashtag, count(*) as posts from tagged group by hashtag)
        select one.hashtag as one, other.hashtag as other, count(*) as together,
          count(distinct one.author_key) as authors,
          any_value(first.posts) as one_posts, any_value(second.posts) as other_posts,
          (select count(*) from ({selection.posts})) as posts
        from tagged as one
        inner join tagged as other
          on one.network = other.network and one.post_id = other.post_id and one.hashtag < other.hashtag
        inner join alone as first on first.hashtag = one.hashtag
        inner join alone as second on second.hashtag = other.hashtag
        group by one.hashtag, other.hashtag
        having count(*) >= {LEAST_TOGETHER}
        order by together desc, one, other
        limit $limit
        """,
        limit=limit,
    )


def measured(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The pairs with `npmi` in [-1, 1], signed `g2`, and `alpha` of the disparity filter (small.

    Stands out).
    """
    rows = [dict(row) for row in rows]
    strength: dict[str, float] = {}
    degree: dict[str, int] = {}
    for row in rows:
        row["npmi"] = npmi(row["together"], row["one_posts"], row["other_posts"], row["posts"])
        row["g2"] = g2(row["together"], row["one_posts"], row["other_posts"], row["posts"])
        for end in (row["one"], row["other"]):
            strength[end] = strength.get(end, 0.0) + row["together"]
            degree[end] = degree.get(end, 0) + 1
    for row in rows:
        row["alpha"] = min(
            (1 - row["together"] / strength[end]) ** (degree[end] - 1) if degree[end] > 1 else 1.0
            for end in (row["one"], row["other"])
        )
    return rows


def npmi(together: int, one: int, other: int, posts: int) -> float:
    """Normalised pointwise mutual information."""
    if together >= posts:
        return 1.0
    return math.log(together * posts / (one * other)) / -math.log(together / posts)


def g2(together: int, one: int, other: int, posts: int) -> float:
    """Twice the log-likelihood ratio of the 2 x 2 table, negative where the two avoid each other."""
    table = (
        (together, one * other / posts),
        (one - together, one * (posts - other) / posts),
        (other - together, other * (posts - one) / posts),
        (posts - one - other + together, (posts - one) * (posts - other) / posts),
    )
    total = 2 * sum(seen * math.log(seen / expected) for seen, expected in table if seen > 0 and expected > 0)
    return total if together * posts >= one * other else -total


def picture(rows: Sequence[dict[str, Any]], *, whole: bool = False) -> dict[str, Any]:
    """`nodes` (hashtag, posts, group, x, y in 0 to 1) and `edges`: the backbone, or all pairs with `whole`.

    Where too little stands out, the strongest pairs are shown, and `method` says so.
    """
    drawn = [row for row in rows if row["alpha"] <= ALPHA and row["npmi"] > 0]
    method = f"disparity filter, alpha {ALPHA}"
    if whole:
        drawn, method = list(rows), "all pairs"
    elif len(drawn) < 8:
        drawn = sorted((row for row in rows if row["npmi"] > 0), key=lambda row: -row["g2"])[:40]
        method = "strongest by G2"
    posts: dict[str, int] = {}
    for row in drawn:
        posts[row["one"]], posts[row["other"]] = row["one_posts"], row["other_posts"]
    names = sorted(posts, key=lambda name: (-posts[name], name))
    if not whole:
        names = names[:MOST_NODES]
    place = {name: index for index, name in enumerate(names)}
    drawn = [row for row in drawn if row["one"] in place and row["other"] in place]
    links = [(place[row["one"]], place[row["other"]], float(row["together"])) for row in drawn]
    groups = communities(len(names), links)
    positions = placed(len(names), links) if not whole else [(0.5, 0.5)] * len(names)
    return {
        "method": method,
        "pairs": len(rows),
        "nodes": [
            {"hashtag": name, "posts": posts[name], "group": groups[index], "x": x, "y": y}
            for (index, name), (x, y) in zip(enumerate(names), positions, strict=True)
        ],
        "edges": [{name: row[name] for name in ("one", "other", "together", "npmi", "g2")} for row in drawn],
    }


def communities(number: int, links: Sequence[tuple[int, int, float]]) -> list[int]:
    """The group of each node, by label propagation in a fixed order; the largest group is 0."""
    near: list[list[tuple[int, float]]] = [[] for _ in range(number)]
    for one, other, weight in links:
        near[one].append((other, weight))
        near[other].append((one, weight))
    label = list(range(number))
    for _ in range(20):
        before = list(label)
        for node in range(number):
            votes: dict[int, float] = {}
            for other, weight in near[node]:
                votes[label[other]] = votes.get(label[other], 0.0) + weight
            if votes:
                label[node] = min(votes, key=lambda group: (-votes[group], group))
        if label == before:
            break
    sizes = {group: label.count(group) for group in set(label)}
    order = {
        group: rank for rank, group in enumerate(sorted(sizes, key=lambda group: (-sizes[group], group)))
    }
    return [order[group] for group in label]


def placed(number: int, links: Sequence[tuple[int, int, float]]) -> list[tuple[float, float]]:
    """Places in the unit square, by Fruchterman and Reingold (1991) from a fixed beginning.

    Always the same.
    """
    if number == 0:
        return []
    at = np.random.default_rng(7).random((number, 2))
    ideal = 1.0 / math.sqrt(number)
    ends = np.array([(one, other) for one, other, _ in links], dtype=int).reshape(-1, 2)
    heaviest = max((weight for *_, weight in links), default=1.0)
    pull = np.array([0.5 + 0.5 * math.sqrt(weight / heaviest) for *_, weight in links])
    for turn in range(ROUNDS):
        apart = at[:, None] - at[None]
        distance = np.maximum(np.sqrt((apart**2).sum(-1)), 1e-4)
        move = (apart * (ideal**2 / distance**2)[..., None]).sum(1)
        if len(ends):
            along = at[ends[:, 0]] - at[ends[:, 1]]
            force = along * (np.sqrt((along**2).sum(-1)) / ideal * pull)[:, None]
            np.add.at(move, ends[:, 0], -force)
            np.add.at(move, ends[:, 1], force)
        move -= (at - 0.5) * 0.6  # parts that hang together with nothing stay in the picture
        length = np.maximum(np.sqrt((move**2).sum(-1)), 1e-9)
        heat = 0.12 * (1 - turn / ROUNDS) + 0.001
        at += move / length[:, None] * np.minimum(length, heat)[:, None]
    low, high = at.min(0), at.max(0)
    scaled = (at - low) / np.maximum(high - low, 1e-9)
    return [(round(float(x), 4), round(float(y), 4)) for x, y in scaled]


def gexf(graph: dict[str, Any], title: str) -> str:
    """The network in GEXF 1.3, for Gephi and others."""
    nodes = "\n".join(
        f"      <node id={_attribute(node['hashtag'])} label={_attribute('#' + node['hashtag'])}>"
        f'<attvalues><attvalue for="posts" value="{node["posts"]}"/>'
        f'<attvalue for="group" value="{node["group"]}"/></attvalues></node>'
        for node in graph["nodes"]
    )
    edges = "\n".join(
        f'      <edge id="{number}" source={_attribute(edge["one"])} target={_attribute(edge["other"])} '
        f'weight="{edge["together"]}"><attvalues><attvalue for="npmi" value="{edge["npmi"]:.6f}"/>'
        f'<attvalue for="g2" value="{edge["g2"]:.3f}"/></attvalues></edge>'
        for number, edge in enumerate(graph["edges"])
    )
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<gexf xmlns="http://gexf.net/1.3" version="1.3">
  <meta><creator>bemtevi</creator><description>{_attribute(title)[1:-1]}</description></meta>
  <graph defaultedgetype="undirected" mode="static">
    <attributes class="node">
      <attribute id="posts" title="posts" type="integer"/><attribute id="group" title="group" type="integer"/>
    </attributes>
    <attributes class="edge">
      <attribute id="npmi" title="npmi" type="double"/><attribute id="g2" title="g2" type="double"/>
    </attributes>
    <nodes>
{nodes}
    </nodes>
    <edges>
{edges}
    </edges>
  </graph>
</gexf>
"""


def _attribute(text: str) -> str:
    """A text as a quoted attribute, without what XML 1.0 cannot hold."""
    return quoteattr("".join(letter for letter in text if letter >= " " and letter not in "\ufffe\uffff"))
