"""A picture of a run, from the lines of ``gapless watch --json``.

>>> from gapless.diagrams.run import read_run
>>> run = read_run([b'{"event":"GapFound","channel":"ticker","symbol":"BTC/USD","start_seq":4,"end_seq":6,"at":1.5}'])
>>> [(each.name, each.missing) for each in run.streams]
[('ticker:BTC/USD', 3)]

:func:`read_run` needs nothing but the lines; :func:`picture` and :func:`render` draw with matplotlib, which comes with
``pip install 'gapless[timeline]'``. States are on top, then one panel for each stream with sequence ids against time,
coloured and shaped by source, gaps as holes that fill; attempts and REST requests are at the bottom.
"""

from pathlib import Path
from typing import Final, Literal, cast

from gapless.diagrams.images import DrawingError
from gapless.diagrams.run.builder import RunBuilder, read_run
from gapless.diagrams.run.model import Run
from gapless.diagrams.run.reader import LineError

FORMS: Final = ("svg", "png")

__all__ = ["FORMS", "DrawingError", "LineError", "Run", "RunBuilder", "form_of", "picture", "read_run", "render"]


def form_of(path: Path) -> Literal["svg", "png"]:
    """The form that a file's name asks for.

    Raises:
        DrawingError: it asks for none that can be drawn.
    """
    form = path.suffix.lower().removeprefix(".")
    if form not in FORMS:
        raise DrawingError(f"cannot tell the form of {path}: expected a name that ends with .svg or .png")
    return cast('Literal["svg", "png"]', form)


def picture(run: Run, form: Literal["svg", "png"], title: str = "") -> bytes:
    """Draw a run.

    Args:
        run: what to draw.
        form: of the picture; text stays text in an SVG.
        title: a few words that tell this run from others.

    Raises:
        DrawingError: matplotlib is not installed.
    """
    try:
        from gapless.diagrams.run.drawing import draw  # noqa: PLC0415 - an extra, and needed for drawings only
    except ImportError as error:
        raise DrawingError(f"a picture of a run needs matplotlib ({error}): pip install 'gapless[timeline]'") from error
    return draw(run, form, title)


def render(run: Run, path: Path, title: str = "") -> None:
    """Draw a run into a file; its suffix, ``.svg`` or ``.png``, tells the form.

    Raises:
        DrawingError: matplotlib is not installed, or the suffix is another one.
        OSError: the file cannot be written.
    """
    path.write_bytes(picture(run, form_of(path), title))
