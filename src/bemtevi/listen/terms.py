"""What terms and the laws on personal data say about some subjects, as a note to a person.

Owns the subjects and the words by which a rule is known to touch one, in Portuguese and English. It stops
nothing, and a rule without a note may still touch a subject: docs/legal.md tells the duties. Sources: X's
developer policy and restricted uses; LGPD, article 11; GDPR, article 9.
"""

from __future__ import annotations

import re
import unicodedata

SENSITIVE = (
    "{subject} is a sensitive subject: who writes about it may tell it of themselves; show totals, infer "
    "nothing of a person, and see docs/legal.md"
)
EVENTS = (
    "X's terms forbid to monitor protests, rallies and meetings of communities, or who takes part; see "
    "docs/legal.md"
)
SUBJECTS: dict[str, tuple[str, ...]] = {
    "health": (
        "covid*",
        "vacin*",
        "vaccin*",
        "saude",
        "health",
        "cancer",
        "hiv",
        "aids",
        "depress*",
        "autis*",
    ),
    "religion": ("religi*", "igreja*", "church*", "islam*", "muslim*", "catolic*", "catholic*", "evangelic*"),
    "politics": ("eleic*", "election*", "voto*", "vote*", "senad*", "deputad*", "partido*"),
    "sex life": ("lgbt*", "gay*", "trans", "sexual*", "pride"),
    "race": ("raca", "racis*", "race", "blacklivesmatter", "vidasnegras*"),
    "union membership": ("sindicat*", "union", "unions"),
    "crime": ("crime*", "homicid*", "murder*"),
}
GATHERINGS = (
    "protest*",
    "manifestac*",
    "rally",
    "rallies",
    "comicio*",
    "greve*",
    "strike*",
    "marcha*",
    "passeata*",
)
WORD = re.compile(r"\w+")


def warnings(rule: str) -> list[str]:
    """A clause for each thing to think of before a rule is followed."""
    words = WORD.findall(_plain(rule))
    found = [
        SENSITIVE.format(subject=subject) for subject, known in SUBJECTS.items() if _any_of(words, known)
    ]
    return [*found, EVENTS] if _any_of(words, GATHERINGS) else found


def _any_of(words: list[str], known: tuple[str, ...]) -> bool:
    return any(
        word.startswith(one.removesuffix("*")) if one.endswith("*") else word == one
        for one in known
        for word in words
    )


def _plain(text: str) -> str:
    """Small letters without diacritics."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter))
