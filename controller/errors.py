"""Everything this package raises, and who erred.

::

    GaplessError
    +-- ConfigurationError      you erred: a value that cannot work; raised when the object is built
    +-- ReconnectExhaustedError attempts are spent and ``reconnect_exhausted="raise"`` asked to be told so
    +-- ControllerEndedError    you erred: a question to a controller whose block was left, or that has failed
    +-- DeliveryOverflowError   the app reads too slowly and ``overflow="raise"`` asked to be told so
    +-- PeerError               they erred: handled inside the controller, never seen by an app's event loop
        +-- InvalidMessageError a frame that is not what the wire format says
        +-- InvalidReplyError   a REST reply that is not what the wire format says
        +-- LinkError           the socket could not be opened or is gone
        +-- RequestFailedError  a REST request failed for good: refused, or out of retries
            +-- CircuitOpenError    not sent at all: the host failed too often and is left alone for a while
"""


class GaplessError(Exception):
    """Base of every error of gapless."""


class ConfigurationError(GaplessError, ValueError):
    """A setting that cannot work. Says which, what came and what is allowed."""


class ReconnectExhaustedError(GaplessError):
    """Every reconnect attempt failed and ``reconnect_exhausted`` is ``"raise"``."""


class ControllerEndedError(GaplessError, RuntimeError):
    """The controller's block was left, or it has failed: nothing can be asked of it any more."""


class DeliveryOverflowError(GaplessError):
    """The app has not read for so long that the buffer is full. What was held came first; nothing comes after."""


class PeerError(GaplessError):
    """The other side broke its word. A controller repairs or reports it; it does not raise it at the app."""


class InvalidMessageError(PeerError):
    """A WebSocket frame that cannot be decoded. It is logged, counted and skipped."""


class InvalidReplyError(PeerError):
    """A REST reply that cannot be decoded."""


class LinkError(PeerError):
    """The socket could not be opened, or is gone.

    Attributes:
        retry_after_s: the floor the peer asked for before the next attempt, seconds; 0.0 where it asked for none.
    """

    def __init__(self, reason: str, *, retry_after_s: float = 0.0) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class RequestFailedError(PeerError):
    """A REST request failed for good.

    Attributes:
        status: the last HTTP status, or None where no reply came at all. Where a venue says otherwise in the body, the
            status that means what it said.
        code: the venue's own, with its ``message``; empty where it gave none.
        unknown_stream: whether the venue said that there is no such stream.
    """

    def __init__(
        self,
        reason: str,
        *,
        status: int | None = None,
        code: str = "",
        message: str = "",
        unknown_stream: bool = False,
    ) -> None:
        super().__init__(reason)
        self.status = status
        self.code = code
        self.message = message
        self.unknown_stream = unknown_stream

    @property
    def is_refusal(self) -> bool:
        """Whether the same request will be refused again: a 4xx that does not speak of load or time."""
        return self.status is not None and 400 <= self.status < 500 and self.status not in {408, 418, 425, 429}


class RequestWithdrawnError(RequestFailedError):
    """A REST request was not sent: when its turn came, nobody wanted it any more."""


class CircuitOpenError(RequestFailedError):
    """A REST request was not sent: the host failed so often in a row that it is left alone until a probe succeeds."""
