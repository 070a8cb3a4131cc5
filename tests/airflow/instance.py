"""A real Airflow on this machine: scheduler, DAG processor and API, each a process of its own.

Owns how it is prepared, started, asked and ended. It is the Airflow of `make test-airflow`, in an environment
beside ours, and runs the DAGs of the repository with `bemtevi` of this environment as their command.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
from tests.support import free_port

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(os.environ.get("BEMTEVI_TEST_AIRFLOW", ROOT / ".venv-airflow")) / "bin"
PARTS = ("api-server", "scheduler", "dag-processor")
PATIENCE = 120.0


@dataclass
class Airflow:
    """One instance, in a folder."""

    home: Path
    environment: dict[str, str]
    port: int = field(default_factory=free_port)
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    _token: str = ""

    def prepare(self, *more_dags: Path) -> None:
        """Its folder of DAGs and, by the script that the deployment runs, its database and pool."""
        shutil.copytree(ROOT / "dags", self.home / "dags")
        for path in more_dags:
            shutil.copy(path, self.home / "dags")
        done = subprocess.run(
            [ROOT / "deploy" / "airflow" / "prepare"],
            env=self._all(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def start(self) -> None:
        """Begin, each part in a group of its own, and wait until it answers.

        The API first: a task whose worker does not reach it has failed.
        """
        for part in PARTS:
            with (self.home / f"{part}.log").open("wb") as out:
                self.processes.append(
                    subprocess.Popen(
                        [BIN / "airflow", part],
                        env=self._all(),
                        stdin=subprocess.DEVNULL,
                        stdout=out,
                        stderr=subprocess.STDOUT,
                        start_new_session=True,
                    )
                )
            if part == PARTS[0]:
                self._wait_for()
        self._wait_for("scheduler", "dag_processor")
        self._token = requests.get(self._url("/auth/token"), timeout=30).json()["access_token"]

    def _wait_for(self, *parts: str) -> None:
        until = time.monotonic() + PATIENCE
        while True:
            try:
                health = requests.get(self._url("/api/v2/monitor/health"), timeout=5).json()
                if all(health[part]["status"] == "healthy" for part in parts):
                    return
            except (requests.RequestException, ValueError, KeyError):
                pass
            assert time.monotonic() < until, self.logs()
            time.sleep(0.5)

    def end(self) -> None:
        """End every group; a part alone would leave its workers behind."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            for process in self.processes:
                try:
                    os.killpg(process.pid, number)
                except ProcessLookupError:
                    continue
            for process in self.processes:
                try:
                    process.wait(10 if number == signal.SIGTERM else None)
                except subprocess.TimeoutExpired:
                    continue

    def command(self, *arguments: str) -> str:
        """What an `airflow` command says that must go well."""
        done = subprocess.run(
            [BIN / "airflow", *arguments], env=self._all(), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """An answer of the REST API; with a body, it is posted."""
        answer = requests.request(
            "GET" if body is None else "POST",
            self._url(f"/api/v2/{path}"),
            json=body,
            headers={"Authorization": f"Bearer {self._token}"},
            timeout=30,
        )
        assert answer.ok, answer.text
        return answer.json()

    def runs(self, dag: str) -> list[dict[str, Any]]:
        """The runs of a DAG, the earliest hour first."""
        found = self.ask(f"dags/{dag}/dagRuns?limit=100")["dag_runs"]
        return sorted(found, key=lambda run: str(run["logical_date"]))

    def tries(self, dag: str, run: str, task: str) -> list[tuple[int, str]]:
        """The number and the end of each try of a task."""
        found = self.ask(f"dags/{dag}/dagRuns/{run}/taskInstances/{task}/tries")["task_instances"]
        return [(one["try_number"], one["state"]) for one in found]

    def logs(self) -> str:
        """The end of what each part and each task has said, for who looks at a failure."""
        files = [*self.home.glob("*.log"), *sorted(self.home.glob("logs/dag_id=*/**/*.log"))[-6:]]
        return "\n".join(f"== {path.name}\n{path.read_text(errors='replace')[-2_500:]}" for path in files)

    def _url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def _all(self) -> dict[str, str]:
        outside = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("AIRFLOW", "BEMTEVI_", "AWS_", "PYTHON", "VIRTUAL_ENV"))
        }
        ours = {
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.home / "dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            # SQLite has one writer at a time: the others wait longer than its five seconds
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self.home}/airflow.db?timeout=90",
            "AIRFLOW__CORE__PARALLELISM": "3",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": self._url("/execution/"),
            "AIRFLOW__API__BASE_URL": self._url(""),
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(self.port),
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "60",  # the first answer of a busy machine takes long
            "AIRFLOW__API_AUTH__JWT_SECRET": "of this test alone, " + "and longer than others " * 3,
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
            "PATH": f"{BIN}{os.pathsep}{outside['PATH']}",
            "BEMTEVI_COMMAND": str(Path(sys.executable).parent / "bemtevi"),
        }
        return {**outside, **ours, **self.environment}
