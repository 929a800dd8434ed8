"""Whether a stream that is gone on with brings nothing but what the file has already. Pure."""

from collections.abc import Mapping
from typing import Final

from gapless.controller import Cursor, Stream

KNOWN_AFTER_S: Final = 30.0
"""How long. What REST tells late, and what a socket repeats when it begins, takes a few seconds."""


class AllKnown:
    """Streams that were gone on with, until the first datum of each is stored.

    Another server that goes by the same name numbers the same streams anew: where its ids are below those of the file,
    each is taken for one that came before.

    Args:
        cursor: what the controller was opened with.
        now: seconds, of any clock that does not jump.
    """

    def __init__(self, cursor: Cursor | None, now: float) -> None:
        known = [] if cursor is None else cursor.streams
        self._next_ids = {Stream(each.channel, each.symbol): each.next_id for each in known if each.next_id is not None}
        self._began_at = now
        self._duplicates = 0

    def look(self, now: float, *, stored: Mapping[Stream, int], age_s: Mapping[Stream, float], duplicates: int) -> str:
        """A line on the streams of which messages come and nothing is stored, once for each; empty: there are none.

        Args:
            now: by the same clock.
            stored: data of each stream so far.
            age_s: of the newest message of each stream.
            duplicates: messages of all streams that were dropped because they are known.
        """
        for stream in [each for each in self._next_ids if stored.get(each)]:
            del self._next_ids[stream]
        if not self._next_ids or now - self._began_at < KNOWN_AFTER_S:
            return ""
        came, self._duplicates = duplicates > self._duplicates, duplicates
        found = [each for each in self._next_ids if age_s.get(each, now) < KNOWN_AFTER_S]
        if not came or not found:
            return ""
        texts = [f"{each} (below {self._next_ids.pop(each)})" for each in found]
        return (
            f"for {KNOWN_AFTER_S:g} s nothing has come but ids that the file goes beyond: {', '.join(texts[:4])}"
            f"{f' and {len(texts) - 4} more' if len(texts) > 4 else ''}; where this is another server than the one "
            "recorded before, end this and record into a new file"
        )
