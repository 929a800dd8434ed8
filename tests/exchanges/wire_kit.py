"""What tests of adapters share: recorded traffic where it is at hand, and messages that were bent out of shape."""

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import strategies as st

from gapless.controller.exchange import RestReply

CAPTURES = Path(os.environ.get("GAPLESS_CAPTURES") or Path(__file__).parents[3] / "shared" / "captures")


def recorded(venue: str, pattern: str) -> dict[str, bytes]:
    """What was recorded of a venue, by file name."""
    found = {path.name: path.read_bytes() for path in sorted((CAPTURES / venue).glob(pattern))}
    if not found:
        pytest.skip(f"nothing recorded of {venue} in {CAPTURES}; set GAPLESS_CAPTURES to where it is")
    return found


def reply(body: object, status: int = 200) -> RestReply:
    """A reply; what is not bytes becomes JSON."""
    return RestReply(status=status, headers={}, body=body if isinstance(body, bytes) else msgspec.json.encode(body))


_ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
    st.sampled_from(["", "*", "\x00", "x" * 300, " a", "2026-02-30T00:00:00Z", "1e5", "-", "9" * 40]),
    st.just([]),
    st.just({}),
    st.lists(st.integers(0, 9), max_size=2),
)


def _bent(value: Any, draw: Any) -> Any:
    """One place in it is something else, or gone, or there twice."""
    if isinstance(value, dict) and value and draw(st.integers(0, 9)):
        key = draw(st.sampled_from(sorted(value)))
        if not draw(st.integers(0, 5)):
            return {each: value[each] for each in value if each != key}
        return value | {key: _bent(value[key], draw)}
    if isinstance(value, list) and value and draw(st.integers(0, 9)):
        at = draw(st.integers(0, len(value) - 1))
        if not draw(st.integers(0, 5)):
            return value[:at] + value[at + 1 :]
        return [*value[:at], _bent(value[at], draw), *value[at:][draw(st.integers(0, 1)) :]]
    return draw(_ODD)


@st.composite
def bent(draw: Any, samples: list[bytes]) -> bytes:
    """One of the samples with one to three things wrong with it: in its values, or in its bytes."""
    sample: bytes = draw(st.sampled_from(samples))
    if draw(st.integers(0, 3)):
        value = msgspec.json.decode(sample)
        for _ in range(draw(st.integers(1, 3))):
            value = _bent(value, draw)
        return msgspec.json.encode(value)
    at: int = draw(st.integers(0, len(sample)))
    inserted: bytes = draw(st.binary(max_size=4))
    return sample[:at] + inserted + sample[at + draw(st.integers(0, 4)) :]
