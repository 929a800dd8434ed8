"""How a command ends: by a signal, or with one line about what failed."""

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import click
import trio

from gapless.cli.exit_codes import FAILED


class OneLineError(click.ClickException):
    """Ends the command with one line on stderr and this exit code."""

    def __init__(self, message: str, exit_code: int = FAILED) -> None:
        super().__init__(" ".join(message.split()))
        self.exit_code = exit_code  # type: ignore[misc]  # click reads it from the instance


@asynccontextmanager
async def cancelled_by_signals(*scopes: trio.CancelScope | tuple[trio.CancelScope, ...]) -> AsyncIterator[None]:
    """While the block runs, each SIGINT or SIGTERM cancels the next of these scopes; more of them change nothing.

    Several in one place are cancelled together: which of them is entered already is a matter of time.
    """
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:

        async def cancel_in_turn() -> None:
            for scope in scopes:
                await anext(signals)
                for each in scope if isinstance(scope, tuple) else (scope,):
                    each.cancel()
            async for _ in signals:
                pass

        async with trio.open_nursery() as nursery:
            nursery.start_soon(cancel_in_turn)
            yield
            nursery.cancel_scope.cancel()
