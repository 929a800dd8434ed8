"""Exception groups, back to the one exception that matters."""

import trio


def unwrapped(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The exception behind a nursery's group: the only one that is not a cancellation, or the group as it is.

    A cancellation that a nursery collected beside a real exception is a consequence of it.
    """
    _cancelled, rest = group.split(trio.Cancelled)
    if rest is None:
        return group
    leaves = list(_leaves(rest))
    return leaves[0] if len(leaves) == 1 else rest


def _leaves(error: BaseException) -> list[BaseException]:
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    return [leaf for each in error.exceptions for leaf in _leaves(each)]
