"""Leaving a host alone that does not work. Pure: time is an argument.

After so many failed requests in a row the circuit opens: nobody asks for a while. Then one request may try, the probe,
and what becomes of it decides. Without this a host that is down is asked by every stream of every controller, each with
its own retries, at the full rate; and is met by all of them at once when it comes back.
"""

from enum import Enum, unique

from gapless.controller.errors import ConfigurationError


@unique
class Circuit(Enum):
    """Whether requests may pass."""

    CLOSED = "closed"
    """They may."""
    OPEN = "open"
    """None may, until the pause is over."""
    PROBING = "probing"
    """One is on its way; the others wait for its outcome."""


class CircuitBreaker:
    """Counts failures in a row: no reply, or a 5xx. A 429 is none: the host lives.

    Args:
        failures: in a row, that open the circuit; 0: never.
        pause_s: seconds until a probe.
    """

    def __init__(self, *, failures: int = 5, pause_s: float = 5.0) -> None:
        if failures < 0 or not 0 < pause_s < float("inf"):
            raise ConfigurationError(
                f"expected at least 0 failures and a finite pause above 0 s, got {failures} and {pause_s}"
            )
        self._failures = failures
        self._pause_s = pause_s
        self._in_a_row = 0
        self._opened_at = float("-inf")
        self.circuit = Circuit.CLOSED

    @property
    def failures(self) -> int:
        """In a row until now."""
        return self._in_a_row

    @property
    def pause_s(self) -> float:
        """Seconds from its opening to the first probe."""
        return self._pause_s

    def refuses_for_s(self, now: float) -> float | None:
        """None: a request may pass now. Else it is refused, and the next probe is due in so many seconds."""
        if self.circuit is Circuit.CLOSED:
            return None
        wait_s = max(self._opened_at + self._pause_s - now, 0.0)
        return None if self.circuit is Circuit.OPEN and wait_s == 0.0 else wait_s

    def begun(self) -> bool:
        """A request passes; whether it is the probe."""
        if self.circuit is Circuit.OPEN:
            self.circuit = Circuit.PROBING
            return True
        return False

    def succeeded(self) -> bool:
        """The host answered; whether that closed the circuit."""
        self._in_a_row = 0
        was_open, self.circuit = self.circuit is not Circuit.CLOSED, Circuit.CLOSED
        return was_open

    def failed(self, now: float, *, probe: bool) -> bool:
        """A request failed; whether that opened the circuit. Stragglers of before change nothing once it is open.

        A probe that a straggler's success has overtaken is a request like any other.
        """
        self._in_a_row += 1
        was_probing = probe and self.circuit is Circuit.PROBING
        opens = was_probing or (self.circuit is Circuit.CLOSED and 0 < self._failures <= self._in_a_row)
        if opens:
            self.circuit, self._opened_at = Circuit.OPEN, now
        return opens

    def abandoned(self) -> None:
        """The probe was cancelled: the next request is one, unless a straggler's success has closed the circuit."""
        if self.circuit is Circuit.PROBING:
            self.circuit = Circuit.OPEN
