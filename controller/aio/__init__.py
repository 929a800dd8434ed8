"""The controller for asyncio apps: the interface of :mod:`gapless.controller`, on asyncio's side of a bridge.

::

    async with aio.open_controller(ws_url=..., rest_url=..., streams=[...]) as controller:
        async for event in controller:
            ...

**How.** One background thread holds one trio run for all feeds of the process; it starts with the first feed and ends
with the last. What crosses, and how:

======================  ================================================================================================
events                  batches, with at most one wake of the event loop under way; the trio side takes no further one
                        while enough lie here unread (:mod:`handover`): a slow app costs freshness, never memory
questions, commands     asked of the thread, answered within one of its turns (:mod:`crossing`)
waits                   a trio task each, in the feed's own nursery; cancelling the asyncio task cancels it
errors                  the exception itself with its traceback: out of the block, whose body is cancelled as in a trio
                        nursery (:mod:`interruption`)
the end                 leaving the block, cancelling its task, an error, Ctrl-C, a closed event loop: each ends it
======================  ================================================================================================

**Why a thread, and not trio's guest mode**, which would run trio inside the asyncio loop:

* an app that blocks its loop for a moment would block the feed's timers, PONGs and socket with it, and a living peer
  would look dead; here they have a thread of their own;
* one thread can hold one guest run, so a second library that does the same could not share the loop; a loop that is
  closed abandons its guest where it stands, and ``asyncio.run`` ends without asking whether it is done;
* several event loops in several threads share one REST budget per host only where there is one run for all of them;
* each wait of a guest is a round trip to a thread of its own, so at few events it costs more, not less. Only the
  loop's lag at full speed is better in guest mode: two threads share one interpreter.
  ``benchmarks/asyncio_consumer.py`` measures both.

What the thread costs: a look at the feed from asyncio (``open_gaps``, ``subscribe``, ``cursor``, ...) waits for one
turn of it, well below a millisecond unless it reads at full speed.
"""

from gapless.controller.aio.controller import AsyncioController
from gapless.controller.aio.opening import open_controller, open_controllers

__all__ = ["AsyncioController", "open_controller", "open_controllers"]
