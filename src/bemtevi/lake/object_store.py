"""The object store that holds a lake: whether it can be trusted, and small objects in it.

Owns the probe. A commit is a put of a file that must not be there yet (`If-None-Match: *`); a server that
ignores this lets the second of two commits replace the first, and says nothing. So two puts are tried before
the first write of a process, and such a store is refused unless the settings promise that nobody else writes.
Leaves to the Delta library how tables are written, and to `reading` how the engine reads them.
"""

from __future__ import annotations

import re
import threading
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, cast

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, NotFoundError
from obstore.store import S3Store

from bemtevi.errors import StorageError, UsageError

if TYPE_CHECKING:
    from obstore.store import S3Config

KNOWN = (
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws_session_token",
    "aws_region",
    "aws_default_region",
    "aws_endpoint_url",
    "aws_virtual_hosted_style_request",
    "aws_container_credentials_relative_uri",
    "aws_container_credentials_full_uri",
    "aws_container_authorization_token_file",
    "aws_web_identity_token_file",
    "aws_role_arn",
    "aws_role_session_name",
    "aws_imdsv1_fallback",
    "aws_metadata_endpoint",
)
"""What the client of small objects understands of the `AWS_*` names."""

_admitted: set[str] = set()
_admitting = threading.Lock()


class ObjectStore:
    """The objects under one address."""

    def __init__(self, root: str, options: Mapping[str, str]) -> None:
        """`root`: `s3://bucket` or `s3://bucket/prefix`. Raises UsageError for another kind of store."""
        if not root.startswith("s3://"):
            raise UsageError(
                f"The lake {root} is in a store that is not known: name a folder or s3://bucket/prefix."
            )
        self.root = root
        # the names are those of the environment
        config = cast(
            "S3Config", {name.lower(): value for name, value in options.items() if name.lower() in KNOWN}
        )
        insecure = options.get("AWS_ALLOW_HTTP", "").lower() in ("true", "1", "yes")
        self._store = S3Store.from_url(
            root,
            config=config,
            client_options={"allow_http": insecure},
        )

    def create(self, name: str, data: bytes) -> bool:
        """Put an object that must not be there yet; False if it is. Raises StorageError."""
        try:
            obstore.put(self._store, name, data, mode="create")
        except AlreadyExistsError:
            return False
        except (BaseError, OSError) as error:
            raise self._told(error) from None
        return True

    def put(self, name: str, data: bytes) -> None:
        """Put an object, or another in its place. Raises StorageError."""
        try:
            obstore.put(self._store, name, data)
        except (BaseError, OSError) as error:
            raise self._told(error) from None

    def get(self, name: str) -> tuple[bytes, datetime] | None:
        """An object, and when it was put by the server's clock; None if it is not there.

        Raises StorageError.
        """
        try:
            found = obstore.get(self._store, name)
            return bytes(found.bytes()), found.meta["last_modified"]
        except (NotFoundError, FileNotFoundError):
            return None
        except (BaseError, OSError) as error:
            raise self._told(error) from None

    def names(self, folder: str) -> list[str]:
        """The names of the objects in a folder, in order. Raises StorageError."""
        try:
            return sorted(entry["path"] for page in obstore.list(self._store, folder) for entry in page)
        except (BaseError, OSError) as error:
            raise self._told(error) from None

    def delete(self, *names: str) -> None:
        """Take objects away; what is not there is no error. Raises StorageError."""
        for name in names:
            try:
                obstore.delete(self._store, name)
            except (NotFoundError, FileNotFoundError):
                continue
            except (BaseError, OSError) as error:
                raise self._told(error) from None

    def keeps_the_first(self) -> bool:
        """Whether of two puts with `If-None-Match: *` the second is refused. Raises StorageError."""
        name = f".probe-{uuid.uuid4()}"
        try:
            # nobody else has this name: a first put that is refused went well, and its answer was lost
            self.create(name, b"1")
            if self.create(name, b"2"):
                return False
            found = self.get(name)
            return found is not None and found[0] == b"1"
        finally:
            self.delete(name)

    def _told(self, error: Exception) -> StorageError:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        return refusal(str(error), self.root) or StorageError(
            f"The store at {self.root} cannot be used: {first[:300]}"
        )


REFUSALS = {
    r"NoSuchBucket": "There is no bucket for {place}: make it, or name another with BEMTEVI_LAKE.",
    r"40[13] (Forbidden|Unauthorized)|AccessDenied|InvalidAccessKey|XAdminUserNotFound": "The store refuses "
    "us at {place}: check AWS_ACCESS_KEY_ID, its secret and its rights.",
    r"tcp connect error|dns error": "The store of {place} cannot be reached: is AWS_ENDPOINT_URL right, and "
    "does the server run?",
    r"SlowDown|50[0-9] ": "The store of {place} cannot be used now, it answers with errors of its own: "
    "try again later.",
}
"""What the library's message holds, and the sentence for it."""


def refusal(said: str, place: str) -> StorageError | None:
    """The sentence for what a store answered, of which not all may be shown; None if it is unknown."""
    for pattern, sentence in REFUSALS.items():
        if re.search(pattern, said):
            return StorageError(sentence.format(place=place))
    return None


def admit(root: str, options: Mapping[str, str]) -> None:
    """Refuse a store that loses commits, before this process first writes to it.

    Raises StorageError.
    """
    key = f"{root} {options.get('AWS_ENDPOINT_URL', '')}"
    with _admitting:
        if key in _admitted:
            return
        if not ObjectStore(root, options).keeps_the_first():
            raise StorageError(
                f"The store at {root} ignores If-None-Match, so that of two commits at once one would be "
                "lost without a word: use another store, or set BEMTEVI_SINGLE_WRITER=true if only one "
                "process at a time ever writes this lake."
            )
        _admitted.add(key)
