"""Where everything lives. The law: every path of the lake and of the journal is made in this file.

<lake>/layer1/<table>      what was delivered
<lake>/layer2/<table>      the star schema
<journal>/<listener>/<segment number>.segment
<journal>/<listener>/gaps.json, alive.json, polled.json
<lake>/.suppression.key    the key of the tombstones' hashes
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

LAKE_VERSION = 1
"""Raised when an older program could misread what a newer one wrote."""

SEGMENT_SUFFIX = ".segment"
OPEN_SUFFIX = ".open"


@dataclass(frozen=True)
class Layout:
    """The addresses inside one lake. `root` is a folder or `s3://bucket/prefix`."""

    root: str

    @property
    def is_local(self) -> bool:
        """True for a folder of this machine."""
        return "://" not in self.root

    def table(self, layer: int, name: str) -> str:
        """The address of a table."""
        # as the library beneath tells where files are: without links and `..`
        root = str(Path(self.root).resolve()) if self.is_local else self.root.rstrip("/")
        return f"{root}/layer{layer}/{name}"

    def lock(self, name: str, local: Path) -> Path:
        """The lock file of one kind of work: in the lake if it is a folder, else beside the journal."""
        return (Path(self.root) if self.is_local else local) / f".{name}.lock"

    def suppression_key(self, local: Path) -> Path:
        """The file of the key of keyed hashes: in the lake if it is a folder, else beside the journal."""
        return (Path(self.root) if self.is_local else local) / ".suppression.key"


def journals(root: Path) -> list[JournalLayout]:
    """The journals of all listeners of this machine."""
    return [JournalLayout(root, folder.name) for folder in sorted(root.glob("*")) if folder.is_dir()]


@dataclass(frozen=True)
class JournalLayout:
    """The addresses inside one listener's journal."""

    root: Path
    listener: str

    @property
    def folder(self) -> Path:
        """The folder of this listener's segments."""
        return self.root / self.listener

    @property
    def lock(self) -> Path:
        """Held by the one process that writes here."""
        return self.folder / ".lock"

    @property
    def identity(self) -> Path:
        """The file that keeps the listener's id, so that a copied or new folder is a new listener."""
        return self.folder / "listener.id"

    @property
    def read_posts(self) -> Path:
        """The file that keeps how many posts were read, by day."""
        return self.folder / "read-posts.json"

    @property
    def ledger(self) -> Path:
        """The file of gaps that layer 1 does not have yet."""
        return self.folder / "gaps.json"

    @property
    def alive(self) -> Path:
        """The last sign of life: until when nothing is missing."""
        return self.folder / "alive.json"

    @property
    def polled(self) -> Path:
        """The file of how far polling has come, by rule."""
        return self.folder / "polled.json"

    def asking(self, name: str) -> Path:
        """The file of how far a search has come."""
        return self.folder / f"asking-{name}.json"

    @property
    def compliance(self) -> Path:
        """The file of how far a compliance check has come."""
        return self.folder / "compliance.json"

    def segment(self, number: int) -> Path:
        """The file of one segment; zero-padded so that a listing is in order."""
        return self.folder / f"{number:012d}{SEGMENT_SUFFIX}"

    def open_segment(self, number: int) -> Path:
        """The file of a segment while it is written."""
        return self.segment(number).with_suffix(OPEN_SUFFIX)

    def open_segments(self) -> list[Path]:
        """The files that are being written, or that a killed process left so."""
        return sorted(self.folder.glob(f"*{OPEN_SUFFIX}"))

    def segments(self) -> list[int]:
        """The numbers of the segments that exist, ascending."""
        return sorted(int(path.stem) for path in self.folder.glob(f"*{SEGMENT_SUFFIX}"))
