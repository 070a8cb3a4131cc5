"""A real Chromium, and how a page of ours is opened in it.

Owns the browser's start and the waiting until a page has its answers. What a page must show is in the tests.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
PATIENCE = 120.0
"""Seconds: containers, schedulers and a soak may be at work beside the browser."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """One browser."""
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield made
        made.close()


def opened(page: Page, address: str) -> Page:
    """The page once its questions are answered."""
    page.goto(address)
    page.wait_for_selector("h1[tabindex]")
    page.wait_for_timeout(100)
    page.wait_for_selector("[aria-busy=true]", state="detached", timeout=20_000)
    return page


def wait_for_text(page: Page, selector: str, wanted: Callable[[str], bool]) -> str:
    """Wait for a text, and return it; the page's policy forbids the usual way, which evaluates a string."""
    until = time.monotonic() + PATIENCE
    while True:
        # at once, for what stands there now may be drawn anew
        texts = page.locator(selector).all_inner_texts()
        if texts and wanted(texts[0]):
            return texts[0]
        if time.monotonic() > until:
            raise AssertionError(f"{selector}: {texts[:1]} on the page: {page.inner_text('main')[:2000]}")
        page.wait_for_timeout(100)
