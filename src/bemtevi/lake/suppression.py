"""The keyed hash by which a forgotten post or author is known again, and the key of the lake.

Owns the key: from the settings, or from a file of the lake that its owner alone may read. Whoever has the
tombstones without the key cannot tell whom they are about, although ids can be counted through. Leaves to
`tombstone` what is kept under the hash.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from bemtevi.errors import StorageError

SEPARATOR = "\x1f"
"""Stands in no id."""
DIGEST_BYTES = 16
SHORTEST_KEY = 16


@dataclass(frozen=True)
class Suppression:
    """Makes keyed hashes with the key of one lake."""

    key: bytes

    def digest(self, network: str, subject: str, id_: str) -> str:
        """The keyed hash of a post, an author or a network: 32 hexadecimal digits, the same for ever."""
        text = SEPARATOR.join((subject, network, id_)).encode()
        return hashlib.blake2b(text, key=self.key, digest_size=DIGEST_BYTES).hexdigest()

    @property
    def fingerprint(self) -> str:
        """Tells whether two keys are the same, and nothing else of them."""
        return self.digest("", "key", "")


def load(path: Path, told: str | None) -> Suppression:
    """The key that the settings tell, else that of the file, which is made if it is not there.

    Raises StorageError.
    """
    if told is not None:
        return Suppression(hashlib.sha256(told.encode()).digest())
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            _make(path)
        text = path.read_text(encoding="ascii").strip()
        if len(text) < SHORTEST_KEY:
            raise StorageError(
                f"The key of the lake in {path} is cut short: bring the file back from a backup, or "
                "what was forgotten is not known again when it comes back."
            )
    except (OSError, UnicodeDecodeError) as error:
        raise StorageError(f"The key of the lake in {path} cannot be used: {error}.") from None
    return Suppression(hashlib.sha256(text.encode()).digest())


def _make(path: Path) -> None:
    """Write a new key whole or not at all, for its owner alone. Another process may be first."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(descriptor, secrets.token_hex(32).encode() + b"\n")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    try:
        os.link(temporary, path)
    except FileExistsError:
        pass
    finally:
        temporary.unlink()
