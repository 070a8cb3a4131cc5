"""The command line itself: global flags, and errors as one sentence.

Owns the translation of every expected failure into a sentence on standard error and an exit code.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import io
import os
import signal
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from typer.core import TyperGroup

from bemtevi import __version__
from bemtevi.errors import BemteviError, StorageError, UsageError
from bemtevi.lake.lake import Lake
from bemtevi.serve import terminal
from bemtevi.settings import Settings, load_settings
from bemtevi.telemetry import configure_logging

DISK_ERRORS = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS),
    *(errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP),
)


COMMANDS = {
    "demo": "demonstrate",
    "track": "track",
    "listen": "collect",
    "search": "search",
    "import": "collect",
    "consolidate": "warehouse",
    "rebuild": "rebuild",
    "run": "collect",
    "serve": "serve",
    "hashtag": "answers",
    "top": "answers",
    "watch": "watch",
    "query": "answers",
    "export": "export",
    "gaps": "gaps",
    "budget": "budget",
    "checks": "checks_of_tables",
    "lineage": "lineage",
    "maintain": "maintain",
    "forget": "forget",
    "compliance": "compliance",
    "doctor": "doctor",
    "spark-pack": "spark_pack",
    "simulate": "simulator",
}
"""Each command and the module that has it, in the order in which a new user needs them."""


class InterruptedByPersonError(BemteviError):
    """Ctrl-C."""

    exit_code = 130  # as a shell tells it: 128 and the number of SIGINT


class ReaderGoneError(BemteviError):
    """Who read our output, `head` for example, has seen enough."""

    exit_code = 0


_interrupted = threading.Event()


def _on_interrupt(number: int, frame: object) -> None:
    del number, frame
    _interrupted.set()
    raise KeyboardInterrupt


class Commands(TyperGroup):
    """Our commands. Typer would turn Ctrl-C and a closed pipe into exit codes without a word."""

    def list_commands(self, ctx: Any) -> list[str]:
        """In our order."""
        return sorted(super().list_commands(ctx), key=[*COMMANDS].index)

    def invoke(self, ctx: Any) -> Any:
        """Run the command that the context names."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise ReaderGoneError from None
        except BaseException as error:
            # a library that is interrupted may raise an error of its own
            if isinstance(error, KeyboardInterrupt) or _interrupted.is_set():
                raise InterruptedByPersonError(
                    "Interrupted. Nothing is half-written; run the same command again to go on."
                ) from None
            raise


app = typer.Typer(
    name="bemtevi",
    cls=Commands,
    help="A hashtag warehouse: listens to hashtags, keeps every post, answers questions.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


ENGINE_HELP = "duckdb, or spark where BEMTEVI_SPARK says."


@dataclass
class Flags:
    """The global flags, before settings are made of them."""

    values: dict[str, Any]
    verbose: bool
    log_json: bool


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


def lake_of(context: typer.Context, **flags: Any) -> tuple[Settings, Lake]:
    """The settings and their lake, which need not exist yet. Flags as for `settings_of`."""
    settings = settings_of(context, **flags)
    lake = Lake.of(settings)
    if lake.layout.is_local and Path(settings.lake).exists() and not Path(settings.lake).is_dir():
        raise UsageError(f"The lake {settings.lake} is a file: name a folder with --lake or BEMTEVI_LAKE.")
    return settings, lake


def only_warnings(context: typer.Context) -> None:
    """For a command that tells by itself what it does: no logs between, unless they are asked for."""
    given = context.obj
    if isinstance(given, Flags):
        configure_logging(verbose=given.verbose, for_machine=given.log_json, quiet=True)


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
        },
        verbose,
        log_json,
    )


def main(arguments: list[str] | None = None) -> None:
    """Run a command and leave with its exit code."""
    try:
        signal.signal(signal.SIGINT, _on_interrupt)
        load_commands(sys.argv[1:] if arguments is None else arguments)
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="replace")  # a terminal that lacks a letter shows ?
        code = app(arguments, prog_name="bemtevi", standalone_mode=False)
        sys.stdout.flush()
    except (ReaderGoneError, BrokenPipeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = ReaderGoneError.exit_code
    except BemteviError as error:
        _say(str(error))
        _leave(error.exit_code)  # while the error holds the engine, whose end may take long
    except typer.TyperException as error:
        context = getattr(error, "ctx", None)
        command = context.command_path if context is not None else "bemtevi"
        sentence = error.format_message().replace("Value error, ", "").rstrip(".")
        if sentence:  # without arguments the help is already on the screen
            end = "" if sentence.endswith("?") else "."
            _say(f"{sentence}{end} See `{command} --help`.")
        code = error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        _say("Interrupted before anything was begun.")
        code = InterruptedByPersonError.exit_code
    except OSError as error:
        if error.errno not in DISK_ERRORS:
            raise
        where = f" ({error.filename})" if error.filename else ""
        _say(f"The disk cannot be used{where}: {error.strerror}. Free some space, or check path and rights.")
        code = StorageError.exit_code
    _leave(code if isinstance(code, int) else 0)


def load_commands(arguments: list[str]) -> None:
    """Import the modules, which register their commands: of one command, if the arguments name just one.

    A command begins sooner so, and `listen`, which runs for months, does without what consolidates and
    answers: that is 40 MB less.
    """
    named = {COMMANDS[word] for word in arguments if word in COMMANDS}
    for module in named if len(named) == 1 else dict.fromkeys(COMMANDS.values()):
        importlib.import_module(f"bemtevi.cli.{module}")


def _leave(code: int) -> NoReturn:
    """End the process. A thread that is still inside a library would crash the interpreter as it ends, and an
    engine that is interrupted would still end its step."""
    if _interrupted.is_set() or any(thread.daemon for thread in threading.enumerate()):
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)
    sys.exit(code)


def _say(sentence: str) -> None:
    """The one line of an error; what it quotes may be hostile."""
    told().print(f"bemtevi: {terminal.plain(sentence)}", markup=False, style="bold red", soft_wrap=True)
