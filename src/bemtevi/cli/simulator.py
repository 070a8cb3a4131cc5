"""Commands that stand in for a network: simulate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bemtevi.cli.app import app, told
from bemtevi.errors import NetworkError, UsageError

simulate = typer.Typer(
    help="Servers that speak the networks' protocols, on this machine.", no_args_is_help=True
)
app.add_typer(simulate, name="simulate")

NEEDS_EXTRA = "The simulator needs the extra 'simulate': pip install 'bemtevi[simulate]'."


@simulate.command("x")
def simulate_x(
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.", min=0, max=65535)] = 8089,
    rate: Annotated[float, typer.Option(help="Posts a second; 0 is as fast as they are read.", min=0)] = 50,
    seed: Annotated[int, typer.Option(help="Other posts for another seed.")] = 0,
    topic: Annotated[list[str] | None, typer.Option(help="A hashtag that many posts are about.")] = None,
    replay: Annotated[
        Path | None, typer.Option(help="File of v2 lines or pages, instead of invented posts.")
    ] = None,
    loop: Annotated[bool, typer.Option("--loop", help="Begin the replayed file again.")] = False,
    record: Annotated[Path | None, typer.Option(help="File that records what was delivered.")] = None,
    token: Annotated[
        str | None, typer.Option(help="The only bearer token accepted; any if not given.")
    ] = None,
    new_names: Annotated[
        bool, typer.Option("--new-names", help="Field names of X's description 2.167.")
    ] = False,
    keep_alive: Annotated[float, typer.Option(help="Seconds of silence before a keep-alive.", min=0.1)] = 20,
    limit: Annotated[int | None, typer.Option(help="Stop producing after so many posts.", min=0)] = None,
) -> None:
    """A server that speaks X's API v2: rules, filtered stream, recent search, counts."""
    try:
        from bemtevi.simulate import DEFAULT_TOPICS, Simulation, serve
    except ImportError:
        raise UsageError(NEEDS_EXTRA) from None
    if replay is not None and not replay.is_file():
        raise UsageError(f"There is no file {replay} to replay.")
    simulation = Simulation(
        topics=tuple(tag.lstrip("#") for tag in topic) if topic else DEFAULT_TOPICS,
        seed=seed,
        rate=rate,
        replay=replay,
        loop=loop,
        record=record,
        token=token,
        spelling="post" if new_names else "tweet",
        keep_alive=keep_alive,
        limit=limit,
    )
    try:
        serve(simulation, port=port, ready=_ready)
    except (NetworkError, OSError) as error:
        raise NetworkError(f"The port {port} cannot be used ({error}): choose another with --port.") from None


def _ready(url: str) -> None:
    told().print(
        f"X is simulated at {url}. In another window:\n"
        f"  export BEMTEVI_X_API_URL={url} BEMTEVI_X_BEARER_TOKEN=any\n"
        '  bemtevi track "#covid19" && bemtevi listen',
        markup=False,
        soft_wrap=True,
    )
