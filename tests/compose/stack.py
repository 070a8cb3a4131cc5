"""The containers of compose.yaml, in a project of their own beside whatever else runs here.

Owns how a profile is brought up and down, how a process is killed as a crash would, and where the volumes
are. The images are those that `scripts/images` has made.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import requests
from tests import support

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = Path(os.environ.get("BEMTEVI_TEST_COMPOSE", ROOT / ".venv-compose" / "bin" / "docker-compose"))
PATIENCE = 300.0
eventually = partial(support.eventually, seconds=PATIENCE)
IMAGES = {
    "BEMTEVI_IMAGE": "bemtevi:local",
    "AIRFLOW_IMAGE": "bemtevi-airflow:local",
    "S3_IMAGE": "bemtevi-s3:local",
    "DATABASE_IMAGE": "bemtevi-database:local",
    "PROMETHEUS_IMAGE": "bemtevi-prometheus:local",
}


@dataclass
class Stack:
    """One project. `environment`: what an operator writes into .env."""

    folder: Path
    profile: str
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def project(self) -> str:
        return f"bemtevi-test-{self.profile}"

    @contextmanager
    def running(self) -> Iterator[None]:
        """From nothing to everything up, and nothing left at the end."""
        self.make_secrets()
        self.down(volumes=True)
        try:
            self.up()
            yield
        finally:
            self.down(volumes=True)

    def make_secrets(self) -> None:
        """As the guide says."""
        subprocess.run([ROOT / "deploy" / "compose" / "secrets"], env=self._all(), check=True)

    def compose(self, *arguments: str) -> str:
        """What a compose command says that must go well."""
        done = subprocess.run(
            [COMPOSE, "--project-name", self.project, "--profile", self.profile, *arguments],
            cwd=ROOT,
            env=self._all(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{arguments}\n{done.stdout[-3000:]}{done.stderr[-3000:]}\n{self.logs()}"
        return done.stdout

    def up(self) -> None:
        """Everything, and healthy."""
        self.compose("up", "--no-build", "--detach")
        eventually(lambda: not self.unready(), f"healthy: {self.unready()}\n{self.logs()}")

    def unready(self) -> dict[str, str]:
        """Services that are neither healthy nor have ended well, with how they are."""
        found = {}
        for line in self.compose("ps", "--all", "--format", "json").splitlines():
            one = json.loads(line)
            ended = one["State"] == "exited" and one["ExitCode"] == 0
            if not ended and (one["State"] != "running" or one["Health"] not in ("", "healthy")):
                found[one["Service"]] = f"{one['State']} {one['Health']}"
        return found

    def down(self, *, volumes: bool = False) -> None:
        self.compose("down", "--timeout", "20", *(["--volumes"] if volumes else []))

    def inspect(self, service: str) -> Any:
        """What Docker knows of a service's container."""
        name = self.compose("ps", "--all", "--quiet", service).strip()
        return json.loads(subprocess.check_output(["docker", "inspect", name]))[0]

    def crash(self, service: str) -> None:
        """Kill its processes as the kernel would: Docker does not restart what it has killed itself."""
        before = self.inspect(service)
        os.kill(before["State"]["Pid"], signal.SIGKILL)
        eventually(
            lambda: (
                self.inspect(service)["RestartCount"] > before["RestartCount"]
                and self.inspect(service)["State"]["Running"]
            ),
            f"{service} is started again",
        )

    def execute(self, service: str, *command: str) -> str:
        return self.compose("exec", "--no-TTY", service, *command)

    def simulation(self, what: str) -> None:
        """Tell the simulated X something; it listens to its own machine alone."""
        code = (
            "import urllib.request as r; r.urlopen(r.Request("
            f"'http://127.0.0.1:8089/simulation/{what}', method='POST')).read()"
        )
        self.execute("simulator", "/opt/bemtevi/bin/python", "-c", code)

    def volume(self, name: str) -> Path:
        """Where a volume is on this machine."""
        told = subprocess.check_output(["docker", "volume", "inspect", f"{self.project}_{name}"])
        return Path(json.loads(told)[0]["Mountpoint"])

    def address(self, service: str) -> str:
        """The address of a container in its network."""
        (network,) = self.inspect(service)["NetworkSettings"]["Networks"].values()
        return str(network["IPAddress"])

    def ask(self, path: str) -> Any:
        """An answer of the REST API, with the token of the secrets."""
        token = (self.folder / "secrets" / "api_token").read_text().strip()
        answer = requests.get(
            f"http://{self.environment['SERVE_AT']}{path}",
            headers={"Authorization": f"Bearer {token}"},
            timeout=30,
        )
        assert answer.ok, answer.text
        return answer.json()

    def logs(self) -> str:
        """The last that each service has said."""
        return subprocess.run(
            [COMPOSE, "--project-name", self.project, "--profile", self.profile, "logs", "--tail", "8"],
            cwd=ROOT,
            env=self._all(),
            capture_output=True,
            text=True,
            check=False,
        ).stdout[-12_000:]

    def _all(self) -> dict[str, str]:
        outside = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("BEMTEVI_", "AWS_", "AIRFLOW", "COMPOSE"))
        }
        secrets = {"BEMTEVI_SECRETS": str(self.folder / "secrets"), "COMPOSE_ENV_FILES": os.devnull}
        return {**outside, **IMAGES, **secrets, **self.environment}
