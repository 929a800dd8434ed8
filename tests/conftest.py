"""The whole suite runs on either transport: ``pytest --transport wire``."""

from collections.abc import Iterator

import pytest

from gapless.controller import NetworkConfig
from gapless.controller.transports import Transport, TrioWebsocketTransport, WireTransport

_KINDS: dict[str, type[TrioWebsocketTransport | WireTransport]] = {
    "trio-websocket": TrioWebsocketTransport,
    "wire": WireTransport,
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--transport", choices=sorted(_KINDS), help="what controllers that name no transport open sockets with"
    )


@pytest.fixture(scope="session", autouse=True)
def _transport_of_the_run(request: pytest.FixtureRequest) -> Iterator[None]:
    """Controllers that bring no transport of their own get the one that was asked for, whatever their setting says."""
    name = request.config.getoption("--transport")
    if name is None:
        yield
        return

    def chosen(config: NetworkConfig) -> Transport:
        return _KINDS[name](message_size_max=config.message_size_max)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gapless.controller.opening.transport_of", chosen)
        yield
