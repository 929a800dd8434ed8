"""Market data as CSV, JSON lines and Parquet: one row or line each, the same columns in all three.

The columns are the fields of :class:`~gapless.controller.Trade`; of other market data the last five are empty. Numbers
are written with every digit they have, and the venue's own decimals stay texts. Texts are unaltered: no guard is put
before those that a spreadsheet would take for a formula, for what comes out is what came in.

Events of an account have no columns: JSON lines alone take them, as the texts they are.
"""

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from io import TextIOWrapper
from typing import Any, BinaryIO, Final, Literal, TypeAlias

import msgspec
from msgspec.structs import astuple, fields

from gapless.controller.events import MarketData, Trade
from gapless.controller.store.errors import StoreError

Form: TypeAlias = Literal["parquet", "csv", "jsonl"]
Recorded: TypeAlias = MarketData | msgspec.Raw
"""Market data, or the JSON of an event of an account."""
Write: TypeAlias = Callable[[Sequence[Recorded]], None]
Value: TypeAlias = str | int | float | None

COLUMNS: Final = tuple(field.name for field in fields(Trade))
_NO_TRADE: Final = (None,) * (len(fields(Trade)) - len(fields(MarketData)))
_INTEGERS: Final = {"sequence_id", "generation"}
_FLOATS: Final = {"price", "bid", "ask", "volume_24h", "received_at", "amount"}
_GROUP_ROWS: Final = 100_000
"""Rows of Parquet that are compressed together. Every group costs its readers a step and a kilobyte of statistics, and
all of one is held in memory: some 10 MB."""


class MissingPackageError(StoreError):
    """What this form is written with is not installed; says how to install it."""


def _row(event: Recorded) -> tuple[Value, ...]:
    if not isinstance(event, MarketData):
        raise TypeError("events of an account have no columns; jsonl takes them")
    values = astuple(event)
    return values if isinstance(event, Trade) else (*values, *_NO_TRADE)


class _Lines:
    """What a CSV writer writes into, a line at a time, for lines that a line feed alone ends.

    Told to end them with both characters it quotes a text with a lone carriage return, which readers take for the end
    of a line; before Python 3.13 it does not otherwise.
    """

    ENDING: Final = "\r\n"

    def __init__(self, text: TextIOWrapper) -> None:
        self._text = text

    def write(self, line: str) -> None:
        self._text.write(f"{line.removesuffix(self.ENDING)}\n")


@contextmanager
def _csv(out: BinaryIO) -> Iterator[Write]:
    text = TextIOWrapper(out, encoding="utf-8", newline="")
    rows = csv.writer(_Lines(text), lineterminator=_Lines.ENDING)
    rows.writerow(COLUMNS)
    try:
        yield lambda events: rows.writerows(map(_row, events))
        text.flush()
    finally:
        text.detach()


@contextmanager
def _jsonl(out: BinaryIO) -> Iterator[Write]:
    encoder = msgspec.json.Encoder()

    def write(events: Sequence[Recorded]) -> None:
        out.write(encoder.encode_lines(events))

    yield write


@contextmanager
def _parquet(out: BinaryIO) -> Iterator[Write]:
    try:
        import pyarrow as pa  # noqa: PLC0415 (an optional extra)
        from pyarrow import parquet  # noqa: PLC0415
    except ImportError:
        raise MissingPackageError(
            "Parquet is written with pyarrow, which is not installed: pip install 'gapless[parquet]'"
        ) from None
    kinds = {name: pa.int64() for name in _INTEGERS} | {name: pa.float64() for name in _FLOATS}
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in COLUMNS])
    sink = _Sink(out)
    with parquet.ParquetWriter(sink, schema) as writer:
        group: list[Any] = []

        def write(events: Sequence[Recorded]) -> None:
            if not events:
                return
            columns = zip(*map(_row, events), strict=True)
            arrays = [pa.array(column, type=field.type) for column, field in zip(columns, schema, strict=True)]
            group.append(pa.Table.from_arrays(arrays, schema=schema))
            if sum(part.num_rows for part in group) >= _GROUP_ROWS:
                finish_group()

        def finish_group() -> None:
            if group:
                writer.write_table(pa.concat_tables(group))
                group.clear()

        try:
            yield write
            finish_group()
        except BaseException:
            sink.is_cut = True
            raise


class _Sink:
    """What Parquet is written into; cut, it takes no more.

    For whatever becomes of its writer, even when nobody holds it any more, that one writes the end of the file, and
    what is there by then would look like all of it.
    """

    closed = False

    def __init__(self, out: BinaryIO) -> None:
        self.is_cut = False
        self._out = out
        self._size = 0

    def tell(self) -> int:
        return self._size

    def write(self, data: bytes) -> int:
        if not self.is_cut:
            self._out.write(data)
            self._size += len(data)
        return len(data)

    def flush(self) -> None:
        """Left to who has opened the file."""

    def close(self) -> None:
        """Alike."""


FORMS: Final[Mapping[Form, Callable[[BinaryIO], AbstractContextManager[Write]]]] = {
    "parquet": _parquet,
    "csv": _csv,
    "jsonl": _jsonl,
}
"""Name -> what makes of an open file a function that writes events into it; complete when the block is left."""
