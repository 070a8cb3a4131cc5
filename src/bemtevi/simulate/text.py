"""A post's text as it is written, with the entities X would find in it.

Owns: offsets (in code points of the text as sent, where `&` is already `&amp;`) and the cut of long texts.
"""

from __future__ import annotations

from typing import Any

Entities = dict[str, list[dict[str, Any]]]

VISIBLE = 280
REPOST_VISIBLE = 140


class Draft:
    """Pieces of text joined by a space, each with what it means."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._length = 0
        self.entities: Entities = {}

    @property
    def length(self) -> int:
        return self._length

    @property
    def text(self) -> str:
        return "".join(self._pieces)

    def put(self, piece: str, joiner: str = " ") -> tuple[int, int]:
        """Append a piece; answers where it stands."""
        if self._pieces and joiner:
            self._pieces.append(joiner)
            self._length += len(joiner)
        start = self._length
        self._pieces.append(piece)
        self._length += len(piece)
        return start, self._length

    def tag(self, tag: str, sign: str = "#") -> None:
        start, end = self.put(sign + tag)
        self._add("hashtags", {"start": start, "end": end, "tag": tag})

    def mention(self, user: dict[str, Any]) -> None:
        start, end = self.put("@" + user["username"])
        self._add("mentions", {"start": start, "end": end, "username": user["username"], "id": user["id"]})

    def link(self, short: str, expanded: str, display: str, **more: Any) -> None:
        start, end = self.put(short)
        self._add(
            "urls",
            {
                "start": start,
                "end": end,
                "url": short,
                "expanded_url": expanded,
                "display_url": display,
                **more,
            },
        )

    def _add(self, kind: str, entity: dict[str, Any]) -> None:
        self.entities.setdefault(kind, []).append(entity)


def cut(text: str, entities: Entities, length: int, before: str = "") -> tuple[str, Entities]:
    """The text behind `before`, cut to a length with an ellipsis, and the entities that survive whole."""
    shift = len(before)
    whole = before + text
    if len(whole) <= length:
        limit = len(whole)
    else:
        limit = length - 1
        whole = whole[:limit] + "…"
    kept: Entities = {}
    for kind, found in entities.items():
        inside = [
            entity | {"start": entity["start"] + shift, "end": entity["end"] + shift}
            for entity in found
            if entity["end"] + shift <= limit
        ]
        if inside:
            kept[kind] = inside
    return whole, kept
