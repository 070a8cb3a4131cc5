"""The files of a lake on S3, as Arrow reads and writes them.

Owns what Arrow's own client is told of the store. It reads and writes without holding up the other threads of
Python, which the Delta library's file handler does. Leaves commits to the Delta library and small objects to
`object_store`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import SplitResult, urlsplit

import pyarrow.fs

ATTEMPTS = 8
"""Of each request, with waits between that grow and differ."""
CONNECT_SECONDS = 5.0
REQUEST_SECONDS = 30.0


def files_of(address: str, options: Mapping[str, str]) -> pyarrow.fs.FileSystem:
    """The files under `s3://bucket/prefix`; paths in it are relative."""
    return pyarrow.fs.SubTreeFileSystem(address.removeprefix("s3://"), _store(tuple(sorted(options.items()))))


@cache
def _store(options: tuple[tuple[str, str], ...]) -> pyarrow.fs.S3FileSystem:
    told = dict(options)
    how: dict[str, Any] = {}
    if "AWS_ACCESS_KEY_ID" in told:  # else a role of the machine, the container or the service account
        how["access_key"] = told["AWS_ACCESS_KEY_ID"]
        how["secret_key"] = told.get("AWS_SECRET_ACCESS_KEY", "")
        how["session_token"] = told.get("AWS_SESSION_TOKEN")
    if server := server_of(told):
        how["endpoint_override"] = server.netloc
        how["scheme"] = server.scheme
        how["force_virtual_addressing"] = virtual_hosted(told)
    return pyarrow.fs.S3FileSystem(
        region=region_of(told),
        connect_timeout=CONNECT_SECONDS,
        request_timeout=REQUEST_SECONDS,
        retry_strategy=pyarrow.fs.AwsStandardS3RetryStrategy(max_attempts=ATTEMPTS),
        allow_delayed_open=True,  # a small file is one request
        **how,
    )


def endpoint_of(options: Mapping[str, str]) -> str | None:
    """The address of the server, None for Amazon's own."""
    return options.get("AWS_ENDPOINT_URL_S3") or options.get("AWS_ENDPOINT_URL")


def server_of(options: Mapping[str, str]) -> SplitResult | None:
    """The same in its parts."""
    endpoint = endpoint_of(options)
    if not endpoint:
        return None
    return urlsplit(endpoint if "://" in endpoint else f"https://{endpoint}")


def region_of(options: Mapping[str, str]) -> str:
    """The region, which a request is signed with."""
    return options.get("AWS_REGION") or options.get("AWS_DEFAULT_REGION") or "us-east-1"


def virtual_hosted(options: Mapping[str, str]) -> bool:
    """Whether the bucket stands in the host name and not in the path."""
    return options.get("AWS_VIRTUAL_HOSTED_STYLE_REQUEST", "").lower() in ("true", "1")
