"""Exception groups, back to the one exception that matters."""

from typing import NoReturn

import trio


def unwrapped(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The exception behind nested groups of our own: the only one that is not a cancellation, or the group as it is.

    A cancellation that a nursery collected beside a real exception is a consequence of it.
    """
    inner = outermost(group)
    if not isinstance(inner, BaseExceptionGroup):
        return inner
    _cancelled, rest = group.split(trio.Cancelled)
    # Where a layer was taken off, the next one; what holds several is as unwrapped as it can be.
    return unwrapped(inner) if rest is not None and len(rest.exceptions) == 1 else inner


def outermost(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """What one nursery wrapped, one layer down: an app's own exception group inside it stays whole."""
    _cancelled, rest = group.split(trio.Cancelled)
    if rest is None:
        return group
    return rest.exceptions[0] if len(rest.exceptions) == 1 else rest


def reraise(error: BaseException) -> NoReturn:
    """Raise an exception again with the cause and context it had."""
    cause, context, suppress = error.__cause__, error.__context__, error.__suppress_context__
    try:
        raise error
    finally:
        error.__cause__, error.__context__, error.__suppress_context__ = cause, context, suppress
        del error, cause, context
