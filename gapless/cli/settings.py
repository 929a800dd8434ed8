"""``gapless settings``: every switch of a controller, and the check that the committed table is fresh."""

import sys
from pathlib import Path
from typing import Final

import click

from gapless.controller import config_reference

DOCUMENT: Final = Path("docs/configuration.md")


@click.command(
    epilog="""\b
Examples:
  gapless settings                      every field with default, unit and effect
  gapless settings --markdown           the same as a table, with bounds and sources
  gapless settings --check              is docs/configuration.md fresh? (exit 1 if not)
  gapless settings --write              write it anew"""
)
@click.option("--markdown", "as_markdown", is_flag=True, help="Print the whole document.")
@click.option("--check", is_flag=True, help="Exit 1 where the committed table does not show the fields.")
@click.option("--write", is_flag=True, help="Write the committed table anew.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=DOCUMENT,
    show_default=True,
    metavar="FILE",
    help="What --check and --write are about.",
)
def settings(*, as_markdown: bool, check: bool, write: bool, output: Path) -> None:
    """List what --config and --set take: one line for each field."""
    if as_markdown + check + write > 1:
        raise click.UsageError("--markdown, --check and --write exclude each other")
    if as_markdown:
        click.echo(config_reference.markdown(), nl=False)
        return
    if not (check or write):
        for each in config_reference.settings():
            click.echo(f"{each.name:<29} {each.default:<9} {each.unit:<9} {each.effect}")
        return
    try:
        if write:
            output.write_text(config_reference.markdown(), encoding="utf-8")
            click.echo(f"wrote {output}")
        elif output.read_text(encoding="utf-8") != config_reference.markdown():
            click.echo(f"{output} is stale; --write writes it anew", err=True)
            sys.exit(1)
        else:
            click.echo(f"fresh: {output}")
    except OSError as error:
        raise click.ClickException(f"{output}: {error.strerror}") from None
