"""What a browser sees of a hashtag's page the first time: its first paint, and the bytes that came.

Owns a Chromium in a process of its own, with an empty cache, and the clock that the browser itself keeps.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from statistics import median

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")
TIMES = 5
SCRIPT = """
import json, sys
from playwright.sync_api import sync_playwright
url, chromium, times = sys.argv[1], sys.argv[2], int(sys.argv[3])
with sync_playwright() as playwright:
    browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
    for _ in range(times):
        context = browser.new_context(viewport={"width": 1360, "height": 900})
        page = context.new_page()
        page.goto(url)
        page.wait_for_selector(".tile .value", timeout=60_000)
        page.wait_for_timeout(500)
        print(json.dumps(page.evaluate(
            "[performance.getEntriesByName('first-contentful-paint')[0]?.startTime, "
            "performance.getEntriesByType('navigation')[0].encodedBodySize + "
            "performance.getEntriesByType('resource')"
            ".filter((one) => one.name.includes('/web/')).reduce((sum, one) => sum + one.encodedBodySize, 0)]"
        )), flush=True)
        context.close()
    browser.close()
"""


def first_view(url: str) -> dict[str, float] | None:
    """Milliseconds to the first paint and the compressed bytes of the page's own files; None without one."""
    if CHROMIUM is None:
        print("page: no chromium, so the page is not looked at", file=sys.stderr)
        return None
    said = subprocess.run(
        [sys.executable, "-c", SCRIPT, url, CHROMIUM, str(TIMES)],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    paints, sizes = zip(*(json.loads(line) for line in said.splitlines()), strict=True)
    return {
        "first_paint_ms": round(median(paints)),
        "worst_first_paint_ms": round(max(paints)),
        "compressed_bytes": max(sizes),
    }
