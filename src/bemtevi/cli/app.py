"""The command line itself: global flags, and errors as one sentence.

Owns the translation of every expected failure into a sentence on standard error and an exit code.
"""

from __future__ import annotations

import errno
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import click
import typer
from rich.console import Console

from bemtevi import __version__
from bemtevi.errors import BemteviError, StorageError
from bemtevi.lake.lake import Lake
from bemtevi.settings import Settings, load_settings
from bemtevi.telemetry import configure_logging

app = typer.Typer(
    name="bemtevi",
    help="A hashtag warehouse: listens to hashtags, keeps every post, answers questions.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

INTERRUPTED = 130


@dataclass
class Flags:
    """The global flags, before settings are made of them."""

    values: dict[str, Any]


def out() -> Console:
    """Where answers go."""
    return Console(highlight=False)


def told() -> Console:
    """Where progress and remarks go."""
    return Console(stderr=True, highlight=False)


def settings_of(context: typer.Context, **flags: Any) -> Settings:
    """The settings of this call; the command's own flags win over the global ones."""
    given = context.obj.values if isinstance(context.obj, Flags) else {}
    return load_settings(**{**given, **{name: value for name, value in flags.items() if value is not None}})


def lake_of(context: typer.Context) -> tuple[Settings, Lake]:
    """The settings and their lake."""
    settings = settings_of(context)
    return settings, Lake.of(settings)


def _version(shown: bool) -> None:
    if shown:
        out().print(f"bemtevi {__version__}")
        raise typer.Exit


@app.callback()
def flags(
    context: typer.Context,
    lake: Annotated[str | None, typer.Option(help="Folder or s3:// address of the tables.")] = None,
    journal: Annotated[Path | None, typer.Option(help="Local folder of the journal.")] = None,
    timezone: Annotated[str | None, typer.Option(help="Zone of local times.")] = None,
    memory_limit: Annotated[str | None, typer.Option(help="Memory of the engine, e.g. 2GB.")] = None,
    threads: Annotated[int | None, typer.Option(help="Threads of the engine.")] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Tell more.")] = False,
    log_json: Annotated[bool, typer.Option("--log-json", help="Logs as JSON lines.")] = False,
    version: Annotated[  # noqa: ARG001  its callback does the work
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """A hashtag warehouse: listens to hashtags, keeps every post, answers questions."""
    configure_logging(verbose=verbose, for_machine=log_json)
    context.obj = Flags(
        {
            "lake": lake,
            "journal": journal,
            "timezone": timezone,
            "memory_limit": memory_limit,
            "threads": threads,
        }
    )


def main(arguments: list[str] | None = None) -> None:
    """Run a command and leave with its exit code."""
    # the modules register their commands on import
    from bemtevi.cli import answers, collect, demonstrate, simulator, warehouse  # noqa: F401

    try:
        code = app(arguments, standalone_mode=False)
    except BemteviError as error:
        _say(str(error))
        code = error.exit_code
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        command = context.command_path if context is not None else "bemtevi"
        _say(f"{error.format_message().rstrip('.')}. See `{command} --help`.")
        code = error.exit_code
    except (KeyboardInterrupt, click.Abort):
        _say("Interrupted. Nothing is half-written; run the same command again to go on.")
        code = INTERRUPTED
    except BrokenPipeError:
        # the reader of a pipe has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS):
            raise
        where = f" ({error.filename})" if error.filename else ""
        _say(f"The disk refuses to be written{where}: {error.strerror}. Free some space or check the rights.")
        code = StorageError.exit_code
    sys.exit(code if isinstance(code, int) else 0)


def _say(sentence: str) -> None:
    told().print(f"bemtevi: {sentence}", markup=False, style="bold red", soft_wrap=True)
