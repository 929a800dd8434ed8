"""Market data as CSV, JSON lines and Parquet: one row or line each, the same columns in all three.

The columns are the fields of :class:`~gapless.controller.Trade`; of other market data the last five are empty. Numbers
are written with every digit they have, and the venue's own decimals stay texts.
"""

import csv
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from io import TextIOWrapper
from typing import BinaryIO, Final, Literal, TypeAlias

import msgspec
from msgspec.structs import astuple, fields

from gapless.controller.events import MarketData, Trade
from gapless.controller.store.errors import StoreError

Form: TypeAlias = Literal["parquet", "csv", "jsonl"]
Write: TypeAlias = Callable[[list[MarketData]], None]
Value: TypeAlias = str | int | float | None

COLUMNS: Final = tuple(field.name for field in fields(Trade))
_NO_TRADE: Final = (None,) * (len(fields(Trade)) - len(fields(MarketData)))
_INTEGERS: Final = {"sequence_id", "generation"}
_FLOATS: Final = {"price", "bid", "ask", "volume_24h", "received_at", "amount"}


class MissingPackageError(StoreError):
    """What this form is written with is not installed; says how to install it."""


def _row(event: MarketData) -> tuple[Value, ...]:
    values = astuple(event)
    return values if isinstance(event, Trade) else (*values, *_NO_TRADE)


@contextmanager
def _csv(out: BinaryIO) -> Iterator[Write]:
    text = TextIOWrapper(out, encoding="utf-8", newline="")
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(COLUMNS)
    try:
        yield lambda events: rows.writerows(map(_row, events))
        text.flush()
    finally:
        text.detach()


@contextmanager
def _jsonl(out: BinaryIO) -> Iterator[Write]:
    encoder = msgspec.json.Encoder()

    def write(events: list[MarketData]) -> None:
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
    with parquet.ParquetWriter(out, schema) as writer:

        def write(events: list[MarketData]) -> None:
            columns = zip(*map(_row, events), strict=True) if events else ((),) * len(COLUMNS)
            arrays = [pa.array(column, type=field.type) for column, field in zip(columns, schema, strict=True)]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))

        yield write


FORMS: Final[Mapping[Form, Callable[[BinaryIO], AbstractContextManager[Write]]]] = {
    "parquet": _parquet,
    "csv": _csv,
    "jsonl": _jsonl,
}
"""Name -> what makes of an open file a function that writes events into it; complete when the block is left."""
