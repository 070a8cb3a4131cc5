"""Whatever may be set reaches the containers, and stands in the file to copy."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from pydantic import SecretStr

from bemtevi.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
INSIDE = {"journal"}
"""Where a volume is mounted is no business of who runs the containers."""


def test_every_setting_reaches_the_containers() -> None:
    shared = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["x-settings"]
    for name, field in Settings.model_fields.items():
        secret = SecretStr in getattr(field.annotation, "__args__", ())
        assert f"BEMTEVI_{name.upper()}{'_FILE' if secret else ''}" in shared or name in INSIDE, name
    known = {f"BEMTEVI_{name.upper()}" for name in Settings.model_fields}
    assert {name.removesuffix("_FILE") for name in shared if name.startswith("BEMTEVI_")} <= known


def test_every_variable_of_the_containers_is_in_the_example() -> None:
    compose = (ROOT / "compose.yaml").read_text(encoding="utf-8")
    asked = set(re.findall(r"\$\{(\w+)", compose)) | set(
        re.findall(r"^ +(BEMTEVI_\w+):$", compose, re.MULTILINE)
    )
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    told = set(re.findall(r"^(?:# )?([A-Z][A-Z_0-9]+)=", example, re.MULTILINE))
    assert asked <= told, asked - told
