"""The command ``gapless``. Each subcommand is loaded when it is used, so that ``gapless --help`` is quick."""

import sys
from importlib import import_module
from typing import Final

import click
from loguru import logger

from gapless import __version__

COMMANDS: Final = {
    "demo": "Put a controller through everything that can go wrong, and check that nothing was lost.",
    "diagram": "Draw the state machine from its transition and activity tables.",
    "simulate": "Run an exchange: WebSocket, REST, a market, and failures to switch on.",
    "watch": "Keep streams of an exchange whole, and print every event.",
}
"""Name -> the first line of its help. The function of that name lives in the module of that name."""


class _LazyGroup(click.Group):
    """Imports a command's module when the command is looked up, not when its name is listed."""

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
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="""\b
Exit codes:
  0  done
  1  it failed; one line on stderr says how
  2  wrong usage""",
)
@click.version_option(__version__, prog_name="gapless")
@click.option("-v", "--verbose", count=True, help="Log to stderr what gapless does; -vv: REST calls and PINGs too.")
def main(verbose: int) -> None:
    """Keep a real-time market-data feed whole."""
    if verbose:
        _log_to_stderr("DEBUG" if verbose > 1 else "INFO")


def _log_to_stderr(level: str) -> None:
    logger.remove()
    logger.add(sys.stderr, level=level)
    logger.enable("gapless")
