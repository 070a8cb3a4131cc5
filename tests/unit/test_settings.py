"""Secrets that stand in files of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from bemtevi.errors import UsageError
from bemtevi.settings import Settings, load_settings


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"BEMTEVI_{name.upper()}", raising=False)
    monkeypatch.chdir(tmp_path)


def token_of(settings: Settings) -> str | None:
    token = settings.x_bearer_token
    return None if token is None else token.get_secret_value()


def test_a_secret_is_read_from_the_file_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text("of the file\n")
    monkeypatch.setenv("BEMTEVI_X_BEARER_TOKEN_FILE", str(tmp_path / "token"))
    assert token_of(load_settings()) == "of the file"
    monkeypatch.setenv("BEMTEVI_X_BEARER_TOKEN", "of the environment")
    assert token_of(load_settings()) == "of the environment"


def test_only_secrets_are_read_from_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lake").write_text("elsewhere")
    monkeypatch.setenv("BEMTEVI_LAKE_FILE", str(tmp_path / "lake"))
    assert load_settings().lake == "lake"


def test_a_file_that_is_not_there_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEMTEVI_API_TOKEN_FILE", str(tmp_path / "none"))
    with pytest.raises(
        UsageError, match=r"^BEMTEVI_API_TOKEN_FILE names .*none, which cannot be read: No such file"
    ):
        load_settings()


def test_keys_of_a_store_may_stand_in_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_text("of the file\n")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY_FILE", str(tmp_path / "key"))
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY", raising=False)
    options = load_settings(lake="s3://bucket/lake").storage_options
    assert options["AWS_SECRET_ACCESS_KEY"] == "of the file"  # noqa: S105
    assert "AWS_SECRET_ACCESS_KEY_FILE" not in options
