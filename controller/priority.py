"""Why a REST request is sent."""

from enum import IntEnum, unique


@unique
class Priority(IntEnum):
    """Who goes first when the budget is short."""

    VERIFY = 0
    GAP_FILL = 1
    SNAPSHOT = 2
    POLL = 3
