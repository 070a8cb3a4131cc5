"""The command that serves: REST and the dashboard. And the same beside `bemtevi run`."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import ip_address
from typing import TYPE_CHECKING, Annotated, Any

import structlog
import typer

from bemtevi.cli.app import app, lake_of, told
from bemtevi.cli.background import Background
from bemtevi.errors import BemteviError, MissingCredentialError, UsageError
from bemtevi.lake.lake import Lake
from bemtevi.listen.tail import Tail
from bemtevi.settings import Settings

if TYPE_CHECKING:
    from bemtevi.serve.snapshot import Snapshots

log = structlog.get_logger()
NEEDS_EXTRA = "The server needs the extra 'serve': pip install 'bemtevi[serve]'."
SQL_MEMORY = "256MB"
PORT = 8642


@app.command()
def serve(
    context: typer.Context,
    host: Annotated[
        str, typer.Option(help="Address to listen on; others than this machine's need a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.", min=0, max=65535)] = PORT,
    seconds: Annotated[float | None, typer.Option(help="Stop after so many seconds.", min=0)] = None,
) -> None:
    """The dashboard and the REST API on what the lake holds, until Ctrl-C."""
    from bemtevi.cli.collect import stop_on_signal

    settings, lake = lake_of(context)
    with stop_on_signal(seconds) as stop, served(settings, lake, host, port, stop.set) as url:
        told().print(f"Serving at {url} (Ctrl-C ends it)", markup=False, style="green", soft_wrap=True)
        stop.wait()


@contextmanager
def served(
    settings: Settings, lake: Lake, host: str, port: int, failed: Callable[[], object]
) -> Iterator[str]:
    """The server in a thread for the length of a block; its address.

    It answers at once, and questions once the tables are open. If they cannot be opened, `failed` is called,
    and what is wrong is raised at the end of the block. Raises MissingCredentialError for a public address
    without a token, UsageError if the port cannot be had.
    """
    try:
        import uvicorn

        from bemtevi.serve.api import create_app
        from bemtevi.serve.api.guard import Access
    except ImportError:
        raise UsageError(NEEDS_EXTRA) from None
    local = is_local(host)
    token = settings.api_token.get_secret_value().strip() if settings.api_token is not None else ""
    if not local and not token:
        raise MissingCredentialError(
            f"On {host} others can reach the posts: set BEMTEVI_API_TOKEN to a secret of your own, "
            "or leave --host away."
        )
    key = settings.author_key.get_secret_value() if settings.author_key is not None else None
    listening = _socket(host, port)
    with snapshots_of(settings, lake, failed) as snapshots:
        made = create_app(snapshots, Access(token or None, key), local=local)
        config = uvicorn.Config(
            made,
            log_config=None,
            access_log=False,
            lifespan="off",
            limit_concurrency=2_000,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=2,
            server_header=False,
        )
        server = _Server(config)
        work = Background("serve", lambda: server.run(sockets=[listening]), threading.Event())
        name = f"[{host}]" if ":" in host else host
        try:
            yield f"http://{name}:{listening.getsockname()[1]}"
            snapshots.check()
        finally:
            server.should_exit = True
            work.finish(5.0)
            listening.close()


def snapshots_of(settings: Settings, lake: Lake, failed: Callable[[], object] | None = None) -> Snapshots:
    """The snapshots of a lake with what this machine's journals have before layer 1 does. Not yet entered.

    `failed` as `Snapshots` takes it.
    """
    from bemtevi.serve.snapshot import Snapshots

    return Snapshots(
        lake,
        memory_limit=settings.memory_limit,
        sql_memory_limit=SQL_MEMORY,
        threads=settings.threads,
        tail=Tail(settings.journal, lake.layout.table(1, "")),
        failed=failed,
    )


@contextmanager
def served_if_possible(settings: Settings, lake: Lake, port: int, *, wanted: bool) -> Iterator[None]:
    """The same on this machine, beside other work, which goes on where the server cannot be had."""
    with ExitStack() as stack:
        if wanted:
            try:
                url = stack.enter_context(served(settings, lake, "127.0.0.1", port, lambda: None))
                log.info("serve.serving", url=url)
            except BemteviError as error:
                log.warning("serve.not_serving", error=str(error))
        yield


def _Server(config: Any) -> Any:  # noqa: N802  it stands for a class that is imported late
    import uvicorn

    class Server(uvicorn.Server):
        """Leaves the signals to the command."""

        def install_signal_handlers(self) -> None:
            """None of its own."""

        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            """None of its own."""
            yield

    return Server(config)


def is_local(host: str) -> bool:
    """Whether only this machine reaches an address."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _socket(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        made = socket.socket(family, socket.SOCK_STREAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
        made.listen(1024)
    except OSError as error:
        raise UsageError(
            f"{host}:{port} cannot be served on ({error.strerror or error}): choose another --port."
        ) from None
    return made
