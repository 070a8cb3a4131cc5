"""What must be on the disk before somebody relies on it: small files replaced whole, names and bytes synced.

Owns the order of writing, syncing and renaming. Leaves to the callers what stands in a file, and when to ask.
"""

from __future__ import annotations

import os
from pathlib import Path


def sync(path: Path) -> int:
    """Make a file, or the names in a folder, durable; the size of the file in bytes. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
        return os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)


def replace_file(path: Path, data: bytes, *, durable: bool) -> None:
    """Write a small file whole, or leave it as it was. Raises OSError."""
    temporary = path.with_suffix(".new")
    with temporary.open("wb") as file:
        file.write(data)
        if durable:
            file.flush()
            os.fsync(file.fileno())
    temporary.replace(path)
    if durable:
        sync(path.parent)
