"""``gapless diagram``: the state machine as a picture, and the check that the committed pictures are fresh."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import click

from gapless import diagrams

_RENDERERS: Final[Mapping[str, Callable[[], str | bytes]]] = {
    "mermaid": diagrams.mermaid,
    "dot": diagrams.dot,
    "svg": diagrams.svg,
    "png": diagrams.png,
}
_SUFFIXES: Final = {
    ".mmd": "mermaid",
    ".mermaid": "mermaid",
    ".dot": "dot",
    ".gv": "dot",
    ".svg": "svg",
    ".png": "png",
}


@click.command(
    epilog="""\b
Examples:
  gapless diagram                       Mermaid text, to paste into Markdown
  gapless diagram -o states.svg         a picture; the suffix tells the format
  gapless diagram --format dot          Graphviz text, with all places given
  gapless diagram --format png > a.png  binary, so never to a terminal
  gapless diagram --check               are the committed pictures fresh? (exit 1 if not)
  gapless diagram --write               render the committed pictures anew
  gapless diagram --write --directory docs/img
                                        render all four formats for your own docs"""
)
@click.option(
    "--format", "form", type=click.Choice(list(_RENDERERS)), help="By default the suffix of FILE, else mermaid."
)
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Write there, not to stdout.")
@click.option("--check", is_flag=True, help="Name the committed renderings that do not show the tables, and exit 1.")
@click.option("--write", is_flag=True, help="Render all committed files anew.")
@click.option(
    "--directory",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="What --check and --write are about; by default the renderings shipped with gapless.",
)
def diagram(form: str | None, output: Path | None, check: bool, write: bool, directory: Path | None) -> None:
    """Draw the state machine from its transition and activity tables.

    Each state shows its name, its meaning and the activities that run in it; each arrow the triggers that take it.
    """
    if check and write:
        raise click.UsageError("--check and --write exclude each other")
    if (check or write) and (form is not None or output is not None):
        raise click.UsageError(
            "--check and --write are about all files of a directory; they take no --format and no -o"
        )
    if directory is not None and not (check or write):
        raise click.UsageError("--directory goes with --check or --write; a single rendering goes to -o FILE")
    try:
        if check:
            _check(directory or diagrams.COMMITTED)
        elif write:
            _write(directory or diagrams.COMMITTED)
        else:
            _render(form or _format_of(output), output)
    except diagrams.DrawingError as error:
        raise click.ClickException(str(error)) from error


def _check(directory: Path) -> None:
    try:
        found = diagrams.stale(directory)
    except OSError as error:
        raise click.ClickException(f"cannot read {error.filename}: {error.strerror}") from error
    for line in found:
        click.echo(line)
    if found:
        click.echo(f"{directory} is stale; --write renders it anew", err=True)
        sys.exit(1)
    click.echo(f"fresh: {', '.join(diagrams.RENDERINGS)}")


def _write(directory: Path) -> None:
    try:
        written = diagrams.write_all(directory)
    except OSError as error:
        raise click.ClickException(f"cannot write {error.filename}: {error.strerror}") from error
    for path in written:
        click.echo(f"wrote {path}")


def _format_of(output: Path | None) -> str:
    """The format a file name asks for."""
    if output is None:
        return "mermaid"
    try:
        return _SUFFIXES[output.suffix.lower()]
    except KeyError:
        known = ", ".join(_SUFFIXES)
        raise click.UsageError(f"cannot tell the format of {output}; use --format, or one of {known}") from None


def _render(form: str, output: Path | None) -> None:
    if form == "png" and output is None and sys.stdout.isatty():
        raise click.UsageError("a PNG is binary and stdout is a terminal; use -o FILE, or redirect")
    content = _RENDERERS[form]()
    if output is None:
        click.echo(content, nl=False)
        return
    try:
        output.write_bytes(content.encode() if isinstance(content, str) else content)
    except OSError as error:
        raise click.ClickException(f"cannot write {output}: {error.strerror}") from error
