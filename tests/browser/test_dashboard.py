"""The dashboard in a real Chromium: what it shows is what the tables hold, in both languages and themes."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import uvicorn
from playwright.sync_api import Browser, ConsoleMessage, Page
from tests.browser.chromium import chromium, opened, wait_for_text
from tests.support import consolidate, new_lake, post, put, put_file, rows

from bemtevi.lake.gap import Cause, ended, new_gap, read_gaps, write_gaps
from bemtevi.lake.lake import Lake
from bemtevi.lake.track import change_rules
from bemtevi.serve.api import create_app
from bemtevi.serve.api.guard import Access
from bemtevi.serve.snapshot import Snapshots
from bemtevi.simulate import write_history

pytestmark = pytest.mark.browser

AXE = Path(os.environ.get("AXE", "node_modules/axe-core/axe.min.js"))
PICTURES = Path(os.environ.get("PICTURES", ".pytest_cache/pictures"))
VIEWS = (
    "/",
    "/t/covid19",
    "/t/covid19?last=24h",
    "/compare?tags=covid19,sus",
    "/search",
    "/gaps",
    "/runs",
    "/sql",
    "/about",
)
HOSTILE = (
    "<script>window.broken = 1</script> <img src=x onerror='window.broken = 1'> #perigo",
    "\u202eabc \u2066 [x](javascript:alert(1)) #perigo",
    "palavra" * 1_500 + " #perigo",
    "=CMD() e\u0301\u0302\u0303\u0304\u0305\u0306\u0307 #perigo",
)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A week of posts with six deaf hours, and what nobody should write."""
    folder = tmp_path_factory.mktemp("browser")
    made = new_lake(folder)
    now = datetime.now(UTC).replace(microsecond=0)
    deaf = now.replace(minute=0, second=0) - timedelta(hours=60)
    heard = deaf + timedelta(hours=6)
    begin = now - timedelta(days=7, hours=1)
    for number, (since, until) in enumerate(((begin, deaf), (heard, now))):
        path = folder / f"{number}.jsonl"
        write_history(path, ("covid19", "SUS"), since=since, until=until, count=2_000, seed=number)
        put_file(made, path)
    first = second(now - timedelta(minutes=10))
    put(made, [post(first + number, text) for number, text in enumerate(HOSTILE)])
    change_rules(made, "x", add=("#covid19", "#SUS"), now=begin)
    write_gaps(made, [ended(gap, begin, begin) for gap in read_gaps(made)])
    write_gaps(made, [ended(new_gap("x", Cause.DISCONNECTED, deaf, listener="test", now=deaf), heard, heard)])
    consolidate(made)
    return made


def second(at: datetime) -> int:
    """The number of the post that was written then: its id carries the time."""
    return int((at - datetime(2026, 11, 24, 10, tzinfo=UTC)).total_seconds())


def _serving(lake: Lake) -> Iterator[str]:
    listening = socket.create_server(("127.0.0.1", 0))
    with Snapshots(lake, memory_limit="1GB", sql_memory_limit="256MB", threads=2) as snapshots:
        app = create_app(snapshots, Access(None))
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off"))
        thread = threading.Thread(target=lambda: server.run(sockets=[listening]), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join(5)


@pytest.fixture(scope="module")
def url(lake: Lake) -> Iterator[str]:
    """The address of the server."""
    yield from _serving(lake)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for all."""
    with chromium() as made:
        yield made


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A fresh page; what the console complains of fails the test."""
    context = browser.new_context(viewport={"width": 1360, "height": 900}, timezone_id="Asia/Kathmandu")
    made = context.new_page()
    said: list[str] = []

    def heard(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and "status of 422" not in message.text:
            said.append(message.text)

    made.on("console", heard)
    made.on("pageerror", lambda error: said.append(str(error)))
    foreign: list[str] = []
    made.on(
        "request",
        lambda request: foreign.append(request.url) if "//127.0.0.1:" not in request.url else None,
    )
    yield made
    context.close()
    assert said == []
    assert [one for one in foreign if not one.startswith(("blob:", "data:"))] == []


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("language", ["en", "pt-BR"])
def test_every_view_is_usable_by_everybody(page: Page, url: str, language: str, theme: str) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    for view in VIEWS:
        mark = "&" if "?" in view else "?"
        opened(page, f"{url}{view}{mark}hl={language}&theme={theme}")
        name = view.strip("/").replace("?last=", "-").split("?")[0].replace("/", "-") or "overview"
        page.screenshot(path=PICTURES / f"{name}-{language}-{theme}.png", full_page=True)
        assert page.evaluate("document.documentElement.lang") == language
        page.evaluate(AXE.read_text())  # as the tools of the browser do: the page's policy stands
        found = page.evaluate("axe.run().then((told) => told.violations)")
        told = [(one["id"], one["nodes"][0]["html"][:120]) for one in found]
        assert told == [], view


def test_no_view_is_wider_than_a_phone(page: Page, url: str) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    for view in VIEWS:
        opened(page, url + view)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, view
    opened(page, f"{url}/t/covid19?hl=pt-BR&theme=dark").screenshot(path=PICTURES / "phone.png")


def test_numbers_are_those_of_the_tables(page: Page, url: str, lake: Lake) -> None:
    (known,) = rows(
        lake,
        "select count(*) as posts, count(distinct author_key) as authors from fact_post "
        "join bridge_post_hashtag using (network, post_id) where hashtag = 'covid19'",
    )
    opened(page, f"{url}/t/covid19?hl=en&last=30d")
    shown = [text.replace("≥", "").strip() for text in page.locator(".tile .value").all_inner_texts()]
    assert shown[:2] == [f"{known['posts']:,}", f"{known['authors']:,}"]
    opened(page, f"{url}/t/covid19?hl=pt-BR&last=30d")
    shown = [text.replace("≥", "").strip() for text in page.locator(".tile .value").all_inner_texts()]
    assert shown[0] == f"{known['posts']:,}".replace(",", ".")


def test_deaf_hours_are_told_and_are_no_zero(page: Page, url: str) -> None:
    opened(page, f"{url}/t/covid19?hl=en&last=7d&g=hour&view=table")
    table = page.locator("table", has=page.locator("caption", has_text="Posts over time"))
    cells = table.locator("tbody tr").all_inner_texts()
    assert sum("not listened" in row for row in cells) == 6
    assert "96.4%" in page.locator(".note").inner_text()
    assert page.locator(".tile .value").first.inner_text().startswith("≥")


def test_a_brush_changes_the_address_and_back_undoes_it(page: Page, url: str) -> None:
    opened(page, f"{url}/t/covid19?hl=en&last=7d")
    before = page.locator(".tile .value").first.inner_text()
    box = page.locator(".u-over").first.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + 60, steps=5)
    page.mouse.up()
    page.wait_for_url("**from=**")
    wait_for_text(page, ".tile .value", lambda text: text not in (before, "…"))
    page.go_back()
    wait_for_text(page, ".tile .value", lambda text: text == before)


def test_lists_are_those_of_the_tables(page: Page, url: str, lake: Lake) -> None:
    """Names and numbers of every list, in either language, beside SQL of our own."""
    posts = "from fact_post join bridge_post_hashtag using (network, post_id) where hashtag = 'covid19'"
    for language, point in (("en", ","), ("pt-BR", ".")):
        opened(page, f"{url}/t/covid19?hl={language}&last=30d")
        for column, name in (("type", "types"), ("client", "apps"), ("language", "languages")):
            known = rows(
                lake, f"select {column}, count(*) as posts {posts} group by 1 order by 2 desc limit 8"
            )
            link = page.locator(f"a[href*='/{name}?'][download]")
            card = page.locator("section.card", has=link)
            shown = card.locator(".bars li > span:last-child").all_inner_texts()
            assert shown == [f"{row['posts']:,}".replace(",", point) for row in known], (name, language)
    (most,) = rows(
        lake,
        f"select count(*) as posts {posts} and type <> 'repost' group by author_id order by 1 desc limit 1",
    )
    authors = page.locator("section.card", has=page.locator("a[href*='/authors?'][download]"))
    assert authors.locator(".bars li > span:last-child").first.inner_text() == str(most["posts"])


def test_a_period_is_chosen_by_keys_alone(page: Page, url: str) -> None:
    opened(page, f"{url}/t/covid19?hl=en&last=7d&g=day")
    page.locator(".reach").focus()
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    wait_for_text(page, ".told", lambda text: "X " in text)
    for _ in range(3):
        page.keyboard.press("Shift+ArrowLeft")
    page.keyboard.press("Enter")
    page.wait_for_url("**from=**")
    page.keyboard.press("Escape")
    page.wait_for_url("**last=7d**")
    page.keyboard.press("c")
    page.locator("[name=from]").fill("2026-11-20T10:00")
    page.locator("[name=to]").fill("2026-11-21T10:00")
    page.keyboard.press("Enter")
    page.wait_for_url("**from=2026-11-20T13%3A00%3A00.000Z&to=2026-11-21T13%3A00%3A00.000Z**")
    assert page.locator("#custom").get_attribute("aria-pressed") == "true"


def test_the_whole_history_moves_and_widens_the_period(page: Page, url: str) -> None:
    opened(page, f"{url}/t/covid19?hl=en&last=24h")
    handle = page.locator(".navigator .handle").first
    whole = page.locator(".tile .value").first.inner_text()
    for _ in range(24):
        handle.press("ArrowLeft")
    assert "–" in page.locator(".navigator strong").inner_text()
    handle.press("Escape")
    assert page.locator(".navigator strong").count() == 0
    for _ in range(24):
        handle.press("ArrowLeft")
    handle.press("Enter")
    page.wait_for_url("**from=**")
    wait_for_text(page, ".tile .value", lambda text: text not in (whole, "…"))
    wider = page.locator(".tile .value").first.inner_text()
    box = page.locator(".navigator .window").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] - box["width"] / 2, box["y"] + 20, steps=5)
    page.mouse.up()
    wait_for_text(page, ".tile .value", lambda text: text not in (wider, "…"))
    moved = page.locator(".navigator .window").bounding_box()
    assert moved is not None
    assert moved["width"] == pytest.approx(box["width"], abs=3)
    assert moved["x"] == pytest.approx(box["x"] - box["width"], abs=3)
    page.go_back()
    wait_for_text(page, ".tile .value", lambda text: text == wider)


def test_what_is_being_typed_stays(page: Page, url: str) -> None:
    """The page looks for news every five seconds; a field that somebody fills is not emptied by that."""
    opened(page, f"{url}/search?hl=en&last=7d")
    page.locator("[name=q]").fill("vacina")
    page.locator("[name=tag]").fill("covid19")
    page.wait_for_timeout(6_000)
    page.keyboard.press("Enter")
    page.wait_for_url("**q=vacina**")
    assert "tag=covid19" in page.url


def test_a_period_is_chosen_by_finger(browser: Browser, url: str) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True)
    page = opened(context.new_page(), f"{url}/t/covid19?hl=pt-BR&last=7d")
    page.locator(".reach").scroll_into_view_if_needed()
    box = page.locator(".u-over").first.bounding_box()
    assert box is not None
    finger = context.new_cdp_session(page)

    def touch(kind: str, share: float) -> None:
        at = {"x": box["x"] + box["width"] * share, "y": box["y"] + 40}
        finger.send(
            "Input.dispatchTouchEvent", {"type": kind, "touchPoints": [] if kind == "touchEnd" else [at]}
        )

    touch("touchStart", 0.5)
    for step in range(1, 6):
        touch("touchMove", 0.5 + step * 0.06)
    touch("touchEnd", 0.8)
    page.wait_for_url("**from=**")
    context.close()


def test_a_network_is_chosen_and_all_numbers_follow(page: Page, url: str) -> None:
    opened(page, f"{url}/t/covid19?hl=en&last=30d")
    whole = page.locator(".tile .value").first.inner_text()
    page.locator("select").select_option("x")
    page.wait_for_url("**net=x**")
    wait_for_text(page, ".tile .value", lambda text: text == whole)
    page.locator(".menu summary").click()
    files = [link.get_attribute("href") or "" for link in page.locator(".menu a").all()]
    assert len(files) == 6
    for address in files:
        answer = page.request.get(url + address)
        assert answer.status == 200, address
        assert "net=x" in address
        assert len(answer.body()) > 100


def test_hostile_posts_are_text(page: Page, url: str) -> None:
    opened(page, f"{url}/t/perigo?hl=en&last=30d")
    shown = page.locator(".posts p").all_inner_texts()
    assert any("<script>window.broken" in text for text in shown)
    assert page.evaluate("window.broken") is None
    assert page.locator("main script, main img").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 1360


def test_new_posts_wait_behind_a_pill(page: Page, tmp_path: Path) -> None:
    """They come by themselves, move nothing that is read, and are text; the key numbers follow."""
    lake = new_lake(tmp_path)
    now = second(datetime.now(UTC)) - 10
    put(lake, [post(now + 1, "antes #agora")], number=0)
    consolidate(lake)
    for address in _serving(lake):
        opened(page, f"{address}/t/agora?hl=en&last=24h")
        wait_for_text(page, ".posts >> nth=-1", lambda text: "antes" in text)
        assert page.locator(".pill button").count() == 0
        put(lake, [post(now + n, f"novo {n} <b>x</b> #agora") for n in (2, 3)], number=1)
        page.wait_for_selector(".pill button")
        page.locator(".pill").scroll_into_view_if_needed()
        page.screenshot(path=PICTURES / "pill.png")
        assert page.locator(".pill button").inner_text().endswith("2 new posts")
        wait_for_text(page, ".tile .value", lambda text: text.endswith("3"))
        page.locator(".pill button").click()
        wait_for_text(page, ".posts >> nth=-1", lambda text: "novo 3 <b>x</b>" in text)
        assert page.locator(".pill button").count() == 0
        assert page.locator(".posts >> nth=-1").inner_text().count("novo 2") == 1
        page.goto("about:blank")  # else it complains that the server is gone


def test_sql_by_keys_alone(page: Page, url: str, lake: Lake) -> None:
    opened(page, f"{url}/sql?hl=en")
    page.locator("textarea").fill("select count(*) as posts from fact_post")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("td")
    (known,) = rows(lake, "select count(*) as posts from fact_post")
    assert page.locator("td").first.inner_text() == str(known["posts"])
    page.locator("textarea").fill("select nothing from fact_post")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("[role=alert]")


def test_an_empty_lake_says_what_to_do(page: Page, tmp_path: Path) -> None:
    for address in _serving(new_lake(tmp_path)):
        opened(page, f"{address}/?hl=en")
        assert "bemtevi track" in page.locator(".note").inner_text()
        opened(page, f"{address}/t/nada?hl=pt-BR")
        page.goto("about:blank")
