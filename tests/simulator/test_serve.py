"""Where an exchange can be served."""

import pytest

from gapless.controller.groups import unwrapped
from gapless.simulator import ExchangeSimulator, serve_exchange


@pytest.mark.parametrize("host", ["a..b", "a" * 64, "é.x y", "\udcff"])
async def test_a_host_that_is_no_name_is_an_error_of_the_system_like_any_other(host: str) -> None:
    with pytest.raises(ExceptionGroup) as refused:
        async with serve_exchange(ExchangeSimulator(), host):
            pass
    error = unwrapped(refused.value)
    assert isinstance(error, OSError)
    assert str(error).startswith(f"{host!r} is not a host name: ")
