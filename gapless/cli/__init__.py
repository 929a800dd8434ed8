"""The command ``gapless``. Each subcommand is loaded when it is used, so that ``gapless --help`` is quick."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from io import TextIOWrapper
from typing import Any, Final, NoReturn, TextIO

import click
from loguru import logger

from gapless import __version__
from gapless.cli.exit_codes import FAILED, INTERRUPTED, WRONG_USAGE

COMMANDS: Final = {
    "dashboard": "Show a feed on a page: whether it is whole, what happens to it, and the market itself.",
    "demo": "Put a controller through everything that can go wrong, and check that nothing was lost.",
    "diagram": "Draw the state machine from its transition and activity tables.",
    "export": "Write the data of a recording as Parquet, CSV or JSON lines.",
    "record": "Keep streams of an exchange whole in a SQLite file, over restarts and crashes.",
    "report": "Say what is in a recording, and what is missing.",
    "settings": "List what --config and --set take: one line for each field.",
    "simulate": "Run an exchange: WebSocket, REST, a market, and failures to switch on.",
    "timeline": "Draw a run: the lines of gapless watch --json as one picture.",
    "torture": "Let everything go wrong in seeded worlds, and hold the controller to its contract.",
    "watch": "Keep streams of an exchange whole, and print every event.",
}
"""Name -> the first line of its help. The function of that name lives in the module of that name."""


class _LazyGroup(click.Group):
    """Imports a command's module when the command is looked up, not when its name is listed."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command and end the process with its exit code; whatever failed is one line on stderr."""
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        if isinstance(sys.stdout, TextIOWrapper):
            # A file name need not be text, nor a terminal take every letter: as stderr does, quote what cannot be said.
            sys.stdout.reconfigure(errors="backslashreplace")
        try:
            ended = super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
            _flush()
        except click.UsageError as error:
            _end(WRONG_USAGE, f"{error.format_message()} ({_help_of(error)})")
        except click.ClickException as error:
            _end(error.exit_code, error.format_message())
        except (click.Abort, KeyboardInterrupt):
            # Before the command could install its own handlers: nothing was received yet, nothing is lost.
            words = sys.argv[1:] if args is None else args
            _end(0 if {"dashboard", "watch", "record", "simulate"} & set(words) else INTERRUPTED)
        except OSError as error:
            _end(0 if isinstance(error, BrokenPipeError) else FAILED, f"cannot write: {error.strerror or error}")
        sys.exit(ended if isinstance(ended, int) else 0)

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Parse; what asks for help or the version is answered here."""
        with _readers_may_leave():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run what was parsed."""
        with _readers_may_leave():
            return super().invoke(ctx)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """The names, without importing anything."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import one command."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"gapless.cli.{cmd_name}"), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands from the table."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=_LazyGroup,
    invoke_without_command=True,
    subcommand_metavar="COMMAND [ARGS]...",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="""\b
Exit codes:
  0  done
  1  it failed; one line on stderr says how
  2  wrong usage
  130  demo: interrupted, nothing was checked""",
)
@click.version_option(__version__, prog_name="gapless")
@click.option("-v", "--verbose", count=True, help="Log to stderr what gapless does; -vv: REST calls and PINGs too.")
@click.pass_context
def main(context: click.Context, verbose: int) -> None:
    """Keep a real-time market-data feed whole."""
    if context.invoked_subcommand is None:
        # Nobody erred who asks what there is; but a script that lost its arguments must not take it for success.
        click.echo(context.get_help(), err=True)
        context.exit(WRONG_USAGE)
    if verbose:
        _log_to_stderr("DEBUG" if verbose > 1 else "INFO")


@contextmanager
def _readers_may_leave() -> Iterator[None]:
    """Whoever pipes into ``head`` has seen what he wanted; click would end with 1."""
    try:
        yield
    except BrokenPipeError:
        raise click.exceptions.Exit(0) from None


def _help_of(error: click.UsageError) -> str:
    return f"see {error.ctx.command_path} --help" if error.ctx is not None else "see gapless --help"


def _end(code: int, message: str = "") -> NoReturn:
    """End the process. A stdout that takes nothing must not make Python complain again while it shuts down."""
    if message and code:
        click.echo(f"Error: {message}", err=True)
    try:
        _flush()
    except OSError:
        sys.stdout = None  # documented: Python then flushes nothing
    sys.exit(code)


def _flush() -> None:
    """Where stdout was closed before Python began, there is none."""
    stdout: TextIO | None = sys.stdout
    if stdout is not None:
        stdout.flush()


def _log_to_stderr(level: str) -> None:
    logger.remove()
    logger.add(sys.stderr, level=level)
    logger.enable("gapless")
