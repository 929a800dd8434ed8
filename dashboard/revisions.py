"""Values that remember the revision of their last change: what a page that has revision r still lacks is read off."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Revisions(Generic[Key, Value]):
    """At most ``size_max`` values by key, in the order of their last change; beyond that the stalest is forgotten.

    >>> kept = Revisions[str, int](size_max=2)
    >>> kept.put("a", 1, revision=1)
    >>> kept.put("b", 2, revision=2)
    >>> kept.put("a", 3, revision=3)
    >>> kept.newer_than(1)
    [2, 3]
    """

    def __init__(self, *, size_max: int) -> None:
        self._size_max = size_max
        self._values: OrderedDict[Key, tuple[int, Value]] = OrderedDict()
        self.forgotten = 0
        """The newest revision of anything forgotten: a page that has an older one may have missed it."""

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, key: Key) -> bool:
        return key in self._values

    def put(self, key: Key, value: Value, *, revision: int) -> None:
        """Enter a value, or what became of it."""
        self._values[key] = (revision, value)
        self._values.move_to_end(key)
        if len(self._values) > self._size_max:
            _, (forgotten, _) = self._values.popitem(last=False)
            self.forgotten = max(self.forgotten, forgotten)

    def get(self, key: Key) -> Value | None:
        """The value; None where there is none, or where it was forgotten."""
        entry = self._values.get(key)
        return None if entry is None else entry[1]

    def remove(self, key: Key) -> None:
        """Take out a value that the page need not be told of any more."""
        del self._values[key]

    def newer_than(self, revision: int) -> list[Value]:
        """What changed after ``revision``, in the order of the changes; costs as much as there is of it."""
        newer: list[Value] = []
        for changed, value in reversed(self._values.values()):
            if changed <= revision:
                break
            newer.append(value)
        return newer[::-1]
