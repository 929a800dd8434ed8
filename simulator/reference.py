"""What the reference protocol's two sides, :mod:`dialog` and :mod:`rest`, need to know of their exchange."""

from abc import abstractmethod

from gapless.simulator.config import SimulatorConfig
from gapless.simulator.market import Page, Query
from gapless.simulator.messages import Balance, Order, StreamKey
from gapless.simulator.records import IssuedLog
from gapless.simulator.served import Served


class ReferenceExchange(Served):
    """An exchange that speaks the reference protocol."""

    issued: IssuedLog
    """Which ids were issued, per epoch and stream."""

    @property
    @abstractmethod
    def config(self) -> SimulatorConfig:
        """Everything about it."""

    @property
    @abstractmethod
    def epoch(self) -> str:
        """The name of the current epoch; ids count from 1 within it."""

    @property
    @abstractmethod
    def orders(self) -> list[Order]:
        """Every order kept, oldest first."""

    @property
    @abstractmethod
    def balances(self) -> list[Balance]:
        """Every balance, in the order the assets appeared."""

    @abstractmethod
    def server_time(self) -> str:
        """What the exchange takes for the time, RFC 3339."""

    @abstractmethod
    def page(self, key: StreamKey, query: Query, session_id: str | None = None) -> Page:
        """One page of a stream's history with the ends of what is kept, as this session is shown it.

        Raises:
            KeyError: there is no such market stream.
        """

    @abstractmethod
    def last_id(self, channel: str, symbol: str) -> int:
        """The last id issued in this epoch, 0 if none was; of ``orders`` and ``balance`` (symbol ``*``) too."""

    @abstractmethod
    def refusal(self, key: StreamKey) -> tuple[str, str] | None:
        """Why there is no such stream, as code and message; None if there is."""
