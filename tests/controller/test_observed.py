"""What an app may hold on to: transitions told at once, and events that nobody can change."""

from typing import get_args

import msgspec
import pytest
import trio
from trio.testing import MockClock

from gapless.controller import AnyEvent, Balance, Order, State, StateChanged, open_controller
from tests.kit import TICKER, virtual_wall_clock, world


async def test_every_transition_is_told_at_once_and_in_order(autojump_clock: MockClock) -> None:
    told: list[tuple[StateChanged, State]] = []

    def on_state_change(event: StateChanged) -> None:
        told.append((event, controller.state))

    async with (
        world() as w,
        open_controller(
            ws_url=w.ws_url,
            rest_url=w.rest_url,
            streams=[TICKER],
            wall_clock=virtual_wall_clock,
            on_state_change=on_state_change,
        ) as controller,
    ):
        await controller.wait_for(State.CONNECTED)
        await trio.sleep(6)
        w.exchange.go_silent()
        await controller.wait_for(State.REST_FALLBACK)
        await controller.wait_for(State.CONNECTED)
        assert [event for event, _ in told] == list(controller.history)
        assert all(event.after is state for event, state in told), "told when it was so, not later"
        assert {state for _, state in told} == set(State)


@pytest.mark.parametrize("kind", [*get_args(AnyEvent), Order, Balance], ids=lambda kind: kind.__name__)
def test_no_field_of_an_event_can_be_changed(kind: type[msgspec.Struct]) -> None:
    names = [field.name for field in msgspec.structs.fields(kind)]
    event = kind(**dict.fromkeys(names, "as it came"))
    for name in names:
        with pytest.raises(AttributeError, match="immutable"):
            setattr(event, name, "changed")
        with pytest.raises(AttributeError, match="immutable"):
            delattr(event, name)
    with pytest.raises(AttributeError):
        event.another = "field"  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    assert hash(event) == hash(msgspec.structs.replace(event)), "what cannot change can be a key"
