"""docs/s3.md works as it is written."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest
from tests.docs.test_docs import Windows, blocks, windows
from tests.s3.server import S3Server

__all__ = ["windows"]

PAGE = "docs/s3.md"
SERVER = "127.0.0.1:9000"


@pytest.fixture
def server(tmp_path: Path) -> S3Server:
    """A server of its own, for the bucket of the page."""
    return S3Server(tmp_path / "s3")


def test_the_page_works_as_it_is_written(windows: Windows, server: S3Server) -> None:
    server.start()
    try:
        server.bucket("posts")
        for number, (kind, text) in enumerate(blocks(PAGE, "sh", "python")):
            typed = text.replace(SERVER, f"127.0.0.1:{server.port}")
            if kind == "sh":
                told = windows.type(typed)
            else:
                (windows.folder / f"{number}.py").write_text(typed, encoding="utf-8")
                assert not windows.type(f"python {number}.py").startswith("0 ")
            if "doctor" in typed:
                assert "it keeps to conditional puts" in " ".join(told.split())
    finally:
        server.kill()
    copied = duckdb.connect(str(windows.folder / "copy.duckdb"))
    assert copied.execute("select 1 from fact_post").fetchone()
    assert list(windows.folder.glob("lake*")) == []
