"""The dashboard's files: whole, of known origin, and with the same words in both languages."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from importlib import resources
from pathlib import Path

from starlette.testclient import TestClient

WEB = Path(str(resources.files("bemtevi.serve") / "web"))
PLACE = re.compile(r"\{(\w+)\}")


def test_vendored_files_are_what_the_manifest_says() -> None:
    told = json.loads((WEB / "vendor" / "manifest.json").read_text())
    assert {one["file"] for one in told} | {"manifest.json"} == {
        path.name for path in (WEB / "vendor").iterdir()
    }
    for one in told:
        digest = hashlib.sha256((WEB / "vendor" / one["file"]).read_bytes()).hexdigest()
        assert digest == one["sha256"], one["file"]
    assert {f"LICENSE.{one['package']}" for one in told} <= {one["file"] for one in told}


def test_both_languages_have_the_same_words() -> None:
    english, portuguese = (
        json.loads((WEB / "i18n" / f"{name}.json").read_text()) for name in ("en", "pt-BR")
    )
    assert english.keys() == portuguese.keys()
    for key, text in english.items():
        pair = [text, portuguese[key]]
        assert len({type(one) for one in pair}) == 1, key
        places = [
            {
                place
                for form in (one.values() if isinstance(one, dict) else [one])
                for place in PLACE.findall(form)
            }
            for one in pair
        ]
        assert places[0] == places[1], key


def test_the_page_is_small_and_has_no_inline_script() -> None:
    page = (WEB / "index.html").read_text()
    assert re.findall(r"<script(?![^>]*src)", page) == []
    assert "style=" not in page
    size = sum(
        len(gzip.compress(path.read_bytes())) for path in WEB.rglob("*") if path.suffix in (".js", ".css")
    )
    assert size < 100_000


def test_every_view_gives_the_page(client: TestClient) -> None:
    for path in ("/", "/t/covid19", "/compare", "/search", "/gaps", "/runs", "/sql", "/about"):
        answer = client.get(path)
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/html")
    assert client.get("/nothing").status_code == 404
    assert client.get("/web/app.js").headers["content-type"].startswith("text/javascript")
