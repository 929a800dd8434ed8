"""The contract as one check: exactly once or reported, legal steps, gaps closed before CONNECTED. Pure.

What an app received is held against what the *exchange* wrote down; nothing a controller says about itself is evidence.
"""

from collections.abc import Iterator, Mapping, Sequence

from gapless.controller import AnyEvent, ContinuityLost, MarketData
from gapless.simulator.testkit.continuity import Continuity, illegal_transitions
from gapless.simulator.testkit.deliveries import Issued, StreamAccount, StreamKey


def accounts_of(issued: Mapping[StreamKey, Issued], events: Sequence[AnyEvent]) -> dict[StreamKey, StreamAccount]:
    """What was issued and what came, per stream and epoch; what came of an unknown one gets an account, too."""
    accounts = {key: StreamAccount(key, each) for key, each in issued.items()}
    for event in events:
        if isinstance(event, MarketData | ContinuityLost):
            key = StreamKey(event.epoch or "-", event.channel, event.symbol)
            if key not in accounts:
                accounts[key] = StreamAccount(key, Issued(points=()))
            accounts[key].enter(event)
    return accounts


def broken_promises(
    accounts: Mapping[StreamKey, StreamAccount],
    events: Sequence[AnyEvent],
    *,
    settled: bool = True,
    gaps_may_be_open: bool = False,
) -> Iterator[str]:
    """What is wrong with a run, each in words.

    Args:
        accounts: of the streams to judge; see :func:`accounts_of`.
        events: everything the app received, in order.
        settled: whether everything that was issued must have come, and no gap be left; else what is newer than what
            came is under way.
        gaps_may_be_open: whether, where not settled, ids may be missing that the app was told of (``GapFound``)
            and that are being filled. CONNECTED must not have been claimed meanwhile, even so.
    """
    continuity = Continuity()
    walked = [text for event in events for text in continuity.follow(event)]
    for key, account in accounts.items():
        excused = continuity.open_ids(key) if gaps_may_be_open and not settled else frozenset()
        yield from account.violations(settled=settled, excused=excused)
    yield from illegal_transitions(events)
    yield from walked
    if settled:
        yield from continuity.unclosed()
