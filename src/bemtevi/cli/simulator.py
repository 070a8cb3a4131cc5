"""Commands that stand in for a network: simulate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bemtevi.cli.app import app, out, told
from bemtevi.errors import NetworkError, UsageError

simulate = typer.Typer(
    help="Servers that speak the networks' protocols, on this machine.", no_args_is_help=True
)
app.add_typer(simulate, name="simulate")

NEEDS_EXTRA = "The simulator needs the extra 'simulate': pip install 'bemtevi[simulate]'."


@simulate.command("x")
def simulate_x(
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.", min=0, max=65535)] = 8089,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
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
    faults: Annotated[
        Path | None, typer.Option(help="YAML file of what goes wrong, and when; see docs/simulator.md.")
    ] = None,
    fault: Annotated[
        list[str] | None,
        typer.Option(help="One fault, e.g. 'close' or 'cut:after_posts=500,times=3'. Repeat for more."),
    ] = None,
    enforce_limits: Annotated[
        bool, typer.Option("--enforce-limits", help="Answer 429 when a rate limit of X's is passed.")
    ] = False,
    limit_window: Annotated[float, typer.Option(help="Seconds of a rate limit's window.", min=1)] = 900,
    search_delay: Annotated[float, typer.Option(help="Seconds after which search finds a post.", min=0)] = 30,
    record_ids_only: Annotated[
        bool, typer.Option("--record-ids-only", help="Leave out of the record what search finds.")
    ] = False,
) -> None:
    """A server that speaks X's API v2: rules, filtered stream, recent search, counts, connections, usage.

    It can do wrong what X does wrong, and more, by a script of faults: `bemtevi simulate faults` lists them.
    A running server also takes them at POST /simulation/fault.
    """
    try:
        from bemtevi.simulate import DEFAULT_TOPICS, Simulation, fault_of_flag, read_faults, serve
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
        faults=(*(read_faults(faults) if faults else ()), *(fault_of_flag(text) for text in fault or ())),
        enforce_limits=enforce_limits,
        limit_window=limit_window,
        search_delay=search_delay,
        record_ids_only=record_ids_only,
    )
    try:
        serve(simulation, host=host, port=port, ready=_ready)
    except (NetworkError, OSError) as error:
        raise NetworkError(f"{host}:{port} cannot be used ({error}): choose another --port.") from None


@simulate.command("faults")
def simulate_faults() -> None:
    """List what a simulated X can do wrong, each with its parameters."""
    try:
        from bemtevi.simulate import KINDS
    except ImportError:
        raise UsageError(NEEDS_EXTRA) from None
    place = ""
    for name, kind in KINDS.items():
        if kind.place != place:
            place = kind.place
            out().print(f"{place}:", markup=False)
        given = ",".join(f"{key}={value.default}" for key, value in kind.parameters.items())
        out().print(f"  {name}{':' if given else ''}{given}", markup=False, soft_wrap=True)
        out().print(f"      {kind.words}", markup=False, soft_wrap=True)


def _ready(url: str) -> None:
    told().print(
        f"X is simulated at {url}. In another window:\n"
        f"  export BEMTEVI_X_API_URL={url} BEMTEVI_X_BEARER_TOKEN=any\n"
        '  bemtevi track "#covid19" && bemtevi listen',
        markup=False,
        soft_wrap=True,
    )
