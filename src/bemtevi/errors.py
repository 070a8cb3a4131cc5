"""The errors a person may meet, and the exit code of each.

Owns: the words "what is wrong, where, and what to do" as an exception. Anything else that escapes is a bug
of ours and shows as one.
"""

from __future__ import annotations


class BemteviError(Exception):
    """Something a person can put right; the message is the one sentence that they read."""

    exit_code = 1


class UsageError(BemteviError):
    """A wrong flag, value or name."""

    exit_code = 2


class MissingCredentialError(BemteviError):
    """A token is missing or the network refused it."""

    exit_code = 3


class StorageError(BemteviError):
    """The lake or the journal cannot be read or written: no space, no access, a newer version."""

    exit_code = 4


class DiskFullError(StorageError):
    """The disk of the journal has no room for more: reading stops on purpose, and goes on when it has."""


class CorruptionError(StorageError):
    """Data of our own does not read back as it was written. Never skipped, never mended in silence."""

    exit_code = 5


class CheckError(CorruptionError):
    """A check of the tables did not hold: see `bemtevi checks`."""

    exit_code = 8


class NetworkError(BemteviError):
    """A network (X, Bluesky, …) cannot be reached or refuses us for good."""

    exit_code = 6


class ConflictError(BemteviError):
    """Another process holds, or has just changed, what this one wanted to change."""

    exit_code = 7
