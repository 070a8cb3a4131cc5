"""What is wrong before there is a connection: names that do not resolve, TLS that cannot be trusted."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict
from tests.faults.scene import STOP_SECONDS, Scene, scene
from tests.support import eventually

from bemtevi.lake.gap import Cause

pytestmark = pytest.mark.faults

NAME = "x.test"


def test_a_name_that_does_not_resolve_is_waited_for_in_one_sentence(tmp_path: Path) -> None:
    with scene(tmp_path, url=lambda _: "http://x.invalid", listen=False) as one, capture_logs() as logs:
        waits(one, logs, "http://x.invalid")


def test_no_tls_where_tls_is_expected_is_waited_for_in_one_sentence(tmp_path: Path) -> None:
    with (
        scene(tmp_path, url=lambda server: server.url.replace("http:", "https:"), listen=False) as one,
        capture_logs() as logs,
    ):
        waits(one, logs, one.url)


def waits(one: Scene, logs: list[EventDict], address: str) -> None:
    """It never heard the network, so it says which one it waits for, counts the gap, and ends when told."""
    one.listen()
    eventually(lambda: one.told(Cause.UNREACHABLE), "the ledger tells that X cannot be reached")
    eventually(lambda: any(each["event"] == "listener.rules_not_synced" for each in logs), "it is told")
    said = next(each["error"] for each in logs if each["event"] == "listener.rules_not_synced")
    assert address in said
    assert "\n" not in said
    assert not one.ended
    one.pause()
    assert one.stop() < STOP_SECONDS
    assert one.failure is None
    one.account()


def test_a_name_that_stops_resolving_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.getaddrinfo
    gone = threading.Event()

    def resolve(host: Any, *rest: Any, **more: Any) -> Any:
        if host == NAME:
            if gone.is_set():
                raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
            host = "127.0.0.1"
        return real(host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with scene(tmp_path, url=lambda server: server.url.replace("127.0.0.1", NAME)) as one:
        gone.set()
        one.fault("close")
        one.fired("close")
        eventually(lambda: one.told(Cause.UNREACHABLE), "the ledger tells that X cannot be reached")
        assert len(one.recorded().opened) == 1
        gone.clear()
        one.hears()
        made = one.finish()
    assert made.missed > 0
    assert made.gap_seconds < 15


@pytest.mark.skipif(shutil.which("openssl") is None, reason="certificates are made by openssl")
def test_a_certificate_that_is_not_trusted_any_more_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, bad = (certificate(tmp_path, name) for name in ("good", "bad"))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(good[0]))
    monkeypatch.setenv("SSL_CERT_FILE", str(good[0]))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*good)
    with (
        tls_before(context) as front,
        scene(tmp_path, url=lambda server: front.to(server.url), listen=True) as one,
    ):
        context.load_cert_chain(*bad)
        one.fault("close")
        one.fired("close")
        eventually(lambda: one.told(Cause.UNREACHABLE), "the ledger tells that X cannot be reached")
        assert len(one.recorded().opened) == 1
        context.load_cert_chain(*good)
        one.hears()
        made = one.finish()
    assert made.missed > 0


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate for this machine and its key, signed by itself."""
    made, key = folder / f"{name}.pem", folder / f"{name}.key"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-keyout", str(key), "-out", str(made)),
            *("-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"),
        ],
        check=True,
        capture_output=True,
    )
    return made, key


class Front:
    """TLS before a server that has none: what comes is handed on, both ways."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._target = ("", 0)

    def to(self, url: str) -> str:
        """Begin; the address of the front."""
        target = urlsplit(url)
        self._target = (str(target.hostname), int(target.port or 0))
        threading.Thread(target=self._accept, daemon=True).start()
        return f"https://127.0.0.1:{self._listening.getsockname()[1]}"

    def close(self) -> None:
        """No more connections."""
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                plain, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(plain,), daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        try:
            near = self._context.wrap_socket(plain, server_side=True)
        except OSError:
            plain.close()
            return
        far = socket.create_connection(self._target)
        threading.Thread(target=hand_on, args=(near, far), daemon=True).start()
        hand_on(far, near)


def hand_on(source: socket.socket, target: socket.socket) -> None:
    """Bytes from one to the other until it ends; then both end."""
    with closing(source), closing(target):
        try:
            while data := source.recv(65_536):
                target.sendall(data)
        except OSError:
            return
        finally:
            for each in (source, target):
                try:
                    each.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue


@contextmanager
def tls_before(context: ssl.SSLContext) -> Iterator[Front]:
    """A front that ends with the block."""
    front = Front(context)
    try:
        yield front
    finally:
        front.close()
