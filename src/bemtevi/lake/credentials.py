"""Who we are to an S3 store: the usual ways of AWS, made one for all the clients that read and write a lake.

Owns the order of the ways and the reading of a profile's files, which not every client knows. The roles of a
machine, a container or a service account are left to the clients: they fetch keys that end and are renewed.
"""

from __future__ import annotations

import configparser
from collections.abc import Mapping
from pathlib import Path

from bemtevi.errors import UsageError

KEY, SECRET, SESSION = "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"
PROFILE = "AWS_PROFILE"
ROLES = {
    "AWS_WEB_IDENTITY_TOKEN_FILE": "the role of the service account",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "the role of the container",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI": "the role of the container",
}
OF_PROFILE = {
    "aws_access_key_id": KEY,
    "aws_secret_access_key": SECRET,
    "aws_session_token": SESSION,
    "region": "AWS_REGION",
    "endpoint_url": "AWS_ENDPOINT_URL",
}
INDIRECT = ("role_arn", "sso_session", "sso_start_url", "credential_process")
"""What a profile may have instead of a key."""


def completed(options: Mapping[str, str], home: Path) -> dict[str, str]:
    """The options of a store (`AWS_*`), with the key of a profile if that is where it stands.

    First a key of the environment, then a profile that is named, then a role, then the profile `default`.
    Raises UsageError if a profile that is named has no key.
    """
    found = {name: value for name, value in options.items() if value}
    if "AWS_ENDPOINT_URL_S3" in found:
        found["AWS_ENDPOINT_URL"] = found["AWS_ENDPOINT_URL_S3"]
    if KEY not in found and (PROFILE in found or not ROLES.keys() & found.keys()):
        told = _of_profile(found, home)
        found = {OF_PROFILE[name]: value for name, value in told.items() if name in OF_PROFILE} | found
    if found.get("AWS_ENDPOINT_URL", "").startswith("http://"):
        found.setdefault("AWS_ALLOW_HTTP", "true")
    # what a request is signed with; and an S3 lake always has options, also with a role alone
    found.setdefault("AWS_REGION", found.get("AWS_DEFAULT_REGION", "us-east-1"))
    return found


def way(options: Mapping[str, str]) -> str:
    """For a person: which way the credentials come."""
    if KEY in options:
        return f"the key {options[KEY][:4]}…"
    return next((way for name, way in ROLES.items() if name in options), "the role of the machine")


def _of_profile(options: Mapping[str, str], home: Path) -> Mapping[str, str]:
    """What a profile says: nothing if none is named and there is no `default`."""
    name = options.get(PROFILE, "default")
    folder = home / ".aws"
    config = Path(options.get("AWS_CONFIG_FILE", folder / "config"))
    credentials = Path(options.get("AWS_SHARED_CREDENTIALS_FILE", folder / "credentials"))
    told: dict[str, str] = {}
    for path, section in ((config, name if name == "default" else f"profile {name}"), (credentials, name)):
        parser = configparser.RawConfigParser()
        try:
            parser.read(path, encoding="utf-8")
        except (configparser.Error, OSError, UnicodeDecodeError):
            raise UsageError(f"The file {path} of AWS's profiles cannot be read.") from None
        if parser.has_section(section):
            told |= dict(parser[section])
    if "aws_access_key_id" in told or PROFILE not in options:
        return told
    if any(entry in told for entry in INDIRECT):
        raise UsageError(
            f"The profile {name} of AWS has no key of its own but a role or a sign-in: give its key by "
            f'eval "$(aws configure export-credentials --profile {name} --format env)".'
        )
    raise UsageError(f"There is no key in the profile {name} of AWS ({credentials}): check AWS_PROFILE.")
