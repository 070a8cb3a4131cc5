"""Which of the usual ways of AWS the credentials come."""

from __future__ import annotations

from pathlib import Path

import pytest

from bemtevi.errors import UsageError
from bemtevi.lake.credentials import completed, way

FILES = {
    "credentials": "[default]\naws_access_key_id = AKIADEFAULT\naws_secret_access_key = d\n"
    "[work]\naws_access_key_id = AKIAWORK\naws_secret_access_key = w%1\naws_session_token = t\n",
    "config": "[default]\nregion = sa-east-1\n[profile work]\nendpoint_url = http://127.0.0.1:9\n"
    "[profile signed]\nsso_session = me\n",
}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / ".aws").mkdir()
    for name, text in FILES.items():
        (tmp_path / ".aws" / name).write_text(text)
    return tmp_path


def test_a_key_of_the_environment_goes_first(home: Path) -> None:
    found = completed(
        {"AWS_ACCESS_KEY_ID": "mine", "AWS_SECRET_ACCESS_KEY": "s", "AWS_PROFILE": "work"}, home
    )
    assert found["AWS_ACCESS_KEY_ID"] == "mine"
    assert way(found) == "the key mine…"


def test_a_profile_that_is_named(home: Path) -> None:
    found = completed({"AWS_PROFILE": "work", "AWS_WEB_IDENTITY_TOKEN_FILE": "/token"}, home)
    assert found["AWS_ACCESS_KEY_ID"] == "AKIAWORK"
    assert (found["AWS_SECRET_ACCESS_KEY"], found["AWS_SESSION_TOKEN"]) == ("w%1", "t")
    assert found["AWS_ENDPOINT_URL"] == "http://127.0.0.1:9"
    assert found["AWS_ALLOW_HTTP"] == "true"
    assert "w%1" not in way(found)


def test_without_a_name_a_role_goes_before_the_profile_default(home: Path, tmp_path: Path) -> None:
    assert completed({}, home)["AWS_ACCESS_KEY_ID"] == "AKIADEFAULT"
    assert completed({}, home)["AWS_REGION"] == "sa-east-1"
    role = completed({"AWS_WEB_IDENTITY_TOKEN_FILE": "/token", "AWS_ROLE_ARN": "r"}, home)
    assert "AWS_ACCESS_KEY_ID" not in role
    assert way(role) == "the role of the service account"
    assert way(completed({}, tmp_path / "nobody")) == "the role of the machine"


def test_files_elsewhere(home: Path, tmp_path: Path) -> None:
    elsewhere = {"AWS_SHARED_CREDENTIALS_FILE": str(home / ".aws" / "credentials")}
    assert completed(elsewhere, tmp_path / "nobody")["AWS_ACCESS_KEY_ID"] == "AKIADEFAULT"


@pytest.mark.parametrize(
    ("profile", "said"), [("signed", "export-credentials"), ("nobody", "check AWS_PROFILE")]
)
def test_a_profile_without_a_key_is_one_sentence(home: Path, profile: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        completed({"AWS_PROFILE": profile}, home)


def test_a_file_that_is_none_is_one_sentence_and_shows_nothing_of_it(home: Path) -> None:
    (home / ".aws" / "credentials").write_text("aws_secret_access_key = very-secret\n")
    with pytest.raises(UsageError, match="cannot be read") as raised:
        completed({}, home)
    assert "very-secret" not in str(raised.value)


def test_another_endpoint_for_s3_alone(tmp_path: Path) -> None:
    found = completed({"AWS_ENDPOINT_URL": "https://all", "AWS_ENDPOINT_URL_S3": "https://s3"}, tmp_path)
    assert found["AWS_ENDPOINT_URL"] == "https://s3"
