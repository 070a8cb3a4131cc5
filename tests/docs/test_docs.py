"""What the documentation shows works as it is written, and what exists is in it.

Fences: `sh` blocks are run, in order, in one folder; the block that starts the simulator stays open as its
own window does. `python` blocks are run after them in the same folder. `console` blocks need a real token or
work on the repository: they are not run. The Portuguese page must show the same commands as the English one.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
import requests
from tests.integration.command import Person
from tests.support import free_port

from bemtevi.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
READMES = ("README.md", "README.pt-BR.md")
PAGES = sorted(path.relative_to(ROOT).as_posix() for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
PORT = "8089"
SERVER = "bemtevi simulate x"
PATIENCE = 120


def read(page: str) -> str:
    """The text of a page."""
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str, *kinds: str) -> list[tuple[str, str]]:
    """The fenced blocks of some kinds, in order."""
    return [(kind, text) for kind, text in FENCE.findall(read(page)) if kind in kinds]


class Windows:
    """The windows in which somebody follows the README."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.exports: list[str] = []
        self.servers: list[subprocess.Popen[bytes]] = []
        self.port = str(free_port())
        outside = {name: value for name, value in os.environ.items() if not name.startswith("BEMTEVI_")}
        path = f"{Path(sys.executable).parent}{os.pathsep}{outside['PATH']}"
        self.environment = {**outside, "PATH": path, "COLUMNS": "80"}

    def type(self, text: str) -> str:
        """Type a block; what it says."""
        script = text.replace(PORT, self.port)
        if script.startswith(SERVER):
            self.servers.append(
                subprocess.Popen(["bash", "-c", f"exec {script}"], cwd=self.folder, env=self.environment)
            )
            self._wait()
            return ""
        done = subprocess.run(
            ["bash", "-e", "-c", "\n".join([*self.exports, script])],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
        assert "Traceback" not in done.stdout + done.stderr
        self.exports += [line for line in script.splitlines() if line.startswith("export ")]
        return done.stdout

    def close(self) -> None:
        """Close all windows."""
        for server in self.servers:
            server.terminate()
            server.wait(PATIENCE)

    def _wait(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                requests.get(f"http://127.0.0.1:{self.port}/", timeout=5)
            except requests.RequestException:
                assert time.monotonic() < deadline
                time.sleep(0.1)
            else:
                return


@pytest.fixture
def windows(tmp_path: Path) -> Iterator[Windows]:
    """Somebody new, in an empty folder."""
    opened = Windows(tmp_path)
    yield opened
    opened.close()


def test_the_commands_of_the_readme_work_as_they_are_written(windows: Windows) -> None:
    typed = []
    for kind, text in blocks("README.md", "sh", "python"):
        typed.append(text)
        if kind == "sh":
            windows.type(text)
            continue
        snippet = windows.folder / "snippet.py"
        snippet.write_text(text, encoding="utf-8")
        assert windows.type("python snippet.py").strip()
    assert SERVER in "".join(typed)
    for command in ("demo", "import", "consolidate", "track", "listen", "hashtag", "top", "query"):
        assert f"bemtevi {command}" in "".join(typed)
    for file in ("covid19.csv", "posts.parquet"):
        assert (windows.folder / file).stat().st_size > 1000


def test_the_recipes_work_as_they_are_written(windows: Windows) -> None:
    for number, (kind, text) in enumerate(blocks("docs/recipes.md", "sh", "python")):
        if kind == "sh":
            windows.type(text)
        else:
            (windows.folder / f"{number}.py").write_text(text, encoding="utf-8")
            assert windows.type(f"python {number}.py").strip()
    assert duckdb.connect(str(windows.folder / "copy.duckdb")).execute("select 1 from fact_post").fetchone()


def test_both_readmes_show_the_same_commands() -> None:
    english, portuguese = ([text for _, text in blocks(page, "sh", "python")] for page in READMES)
    assert english == portuguese
    consoles = ([re.sub(r" +#.*", "", text) for _, text in blocks(page, "console")] for page in READMES)
    first, second = consoles
    assert first == second
    headings = [re.findall(r"^#+ ", read(page), re.MULTILINE) for page in READMES]
    assert headings[0] == headings[1]
    points = [re.findall(r"^- ", read(page), re.MULTILINE) for page in READMES]
    assert points[0] == points[1]


def test_what_is_not_run_exists() -> None:
    """The `console` blocks: targets of make and commands that are there."""
    targets = set(re.findall(r"^([a-z0-9-]+):", read("Makefile"), re.MULTILINE))
    for page in ("README.md", "CONTRIBUTING.md"):
        for target in re.findall(r"\bmake ([a-z0-9-]+)", " ".join(re.findall(r"`[^`]+`", read(page)))):
            assert target in targets, (page, target)
    for _, text in blocks("README.md", "console"):
        for line in text.splitlines():
            words = line.split("#")[0].split()
            assert words[0] in ("make", "source", "unset", "export", "bemtevi"), line
            if words[0] == "make":
                assert words[1] in targets
            elif words[0] == "bemtevi":
                assert words[1] == "--help" or f"## bemtevi {words[1]}\n" in read("docs/commands.md")


def test_the_reference_pages_are_what_the_code_says() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "generate.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_every_setting_and_table_is_in_the_reference() -> None:
    for name in Settings.model_fields:
        assert f"| `{name}` | `BEMTEVI_{name.upper()}` |" in read("docs/settings.md")
    dictionary = read("docs/data-dictionary.md")
    for layer in ("lake/raw.py", "lake/track.py", "warehouse/run.py"):
        for name in re.findall(r'^    name="(\w+)"', read(f"src/bemtevi/{layer}"), re.MULTILINE):
            assert f"### {name}\n" in dictionary
    for model in (ROOT / "src/bemtevi/warehouse/models").glob("*.sql"):
        assert f"### {model.stem}\n" in dictionary
    for view in re.findall(r"view (\w+) as", read("src/bemtevi/serve/views.sql")):
        assert f"### {view}\n" in dictionary


def test_every_command_and_flag_is_in_the_reference(tmp_path: Path) -> None:
    """As the program's own help has them, so that the page cannot agree with itself alone."""
    page = read("docs/commands.md")
    asked: list[list[str]] = [[]]
    while asked:
        command = asked.pop()
        shown = Person(tmp_path).good(*command, "--help", COLUMNS="200", TERM="dumb")
        section = page.split(f"## {' '.join(['bemtevi', *command])}\n")[-1].split("\n## ")[0]
        for flag in set(re.findall(r"(--[a-z-]+)", shown)) - {"--help"}:
            assert "completion" in flag or f"`{flag}" in section, (command, flag)
        below = shown.partition("Commands ─")[2]
        asked += [[*command, name] for name in re.findall(r"^│ ([a-z]+)  ", below, re.MULTILINE)]


def test_events_of_the_logs_have_one_form_and_each_of_the_reference_is_told() -> None:
    page = read("docs/telemetry.md").partition("## Logs")[2]
    events = re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE)
    assert len(events) > 10
    for event in events:
        assert re.fullmatch(r"[a-z]+\.[a-z_]+", event), event
    known = re.findall(r'^"([^"]+)" = ', read("docs/events.toml"), re.MULTILINE)
    assert set(known) <= set(events)


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    text = FENCE.sub("", read(page))
    for target in LINK.findall(text):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        path = (ROOT / page).parent / file if file else ROOT / page
        assert path.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
            anchors = [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]
            assert anchor in anchors, target


@pytest.mark.parametrize("page", PAGES)
def test_no_page_names_somebodys_machine(page: str) -> None:
    """A folder of a machine, an address of a private network."""
    text = read(page)
    assert str(ROOT) not in text
    for pattern in (r"(?<![\w.])/(?:home|root|Users|tmp|mnt|opt)/", r"\b(?:10|192\.168)\.\d+\.\d+\b"):
        assert not re.search(pattern, text), re.search(pattern, text)
