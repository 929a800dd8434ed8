"""What a conformance test found: everything that is wrong at once, in words, and how much was tried."""

from collections import Counter
from collections.abc import Callable
from typing import Final, TypeVar

_T = TypeVar("_T")

_SHOWN_MAX: Final = 160
"""Characters of a frame, value or error in a message: more of it hides the rest."""


class ConformanceError(AssertionError):
    """An adapter does not do what it says, or what the controller relies on. Lists every failure."""


class Findings:
    """What was wrong, and how much was tried.

    Attributes:
        failures: each says where, what was expected and what came.
        tried: how often something was checked, by what it was: ``frames``, ``mutated frames``, ``requests``, ...
    """

    def __init__(self) -> None:
        self.failures: list[str] = []
        self.tried: Counter[str] = Counter()

    def assert_ok(self) -> None:
        """Raise what was found, if anything was.

        Raises:
            ConformanceError: naming each failure.
        """
        if self.failures:
            listed = "\n".join(f"  {number}. {text}" for number, text in enumerate(self.failures, 1))
            tried = ", ".join(f"{count} {name}" for name, count in sorted(self.tried.items()))
            raise ConformanceError(
                f"the adapter does not conform, {len(self.failures)} failures:\n{listed}\ntried: {tried}"
            )

    def fail(self, where: str, text: str) -> None:
        """Note a failure, once."""
        failure = f"{where}: {text}"
        if failure not in self.failures:
            self.failures.append(failure)

    def check(self, where: str, *, expected: object, got: object) -> bool:
        """Note a failure unless the two are equal; whether they are."""
        if expected != got:
            self.fail(where, f"expected {shown(expected)}, got {shown(got)}")
        return expected == got

    def attempt(
        self,
        where: str,
        call: Callable[[], _T],
        *,
        refusals: tuple[type[Exception], ...] = (),
        wanted: str = "an answer",
    ) -> list[_T]:
        """What a call gives, alone in a list; an empty one where it raised. Only ``refusals`` may be raised."""
        try:
            return [call()]
        except refusals:
            return []
        except Exception as error:  # noqa: BLE001 (whatever an adapter raises is what is looked for)
            self.fail(where, f"expected {wanted}, but it raised {raised(error)}")
            return []


def shown(value: object) -> str:
    """A value as a message can hold it."""
    text = repr(value)
    return text if len(text) <= _SHOWN_MAX else f"{text[:_SHOWN_MAX]}... ({len(text)} characters)"


def raised(error: Exception) -> str:
    """An error as a message can hold it."""
    return shown(error).replace("\n", " ")
