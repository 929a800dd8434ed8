"""Many seeds on several processors: a process each, since a world keeps one processor busy."""

import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from itertools import islice
from multiprocessing import get_context, parent_process
from threading import Thread

from gapless.simulator.torture.outcome import Outcome
from gapless.simulator.torture.plan import Terms
from gapless.simulator.torture.run import run_seed


def run_seeds(seeds: Sequence[int], terms: Terms, jobs: int) -> Iterator[Outcome]:
    """The outcome of each seed, as it comes. Leaving the iterator stops the workers after the seeds they are at.

    Raises:
        concurrent.futures.process.BrokenProcessPool: a worker was killed.
    """
    if jobs == 1:
        for seed in seeds:
            yield run_seed(seed, terms)
        return
    waiting = iter(seeds)
    # Fresh interpreters: a fork would inherit the parent's signal handlers and whatever its threads were at.
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_prepare_worker) as pool:
        under_way: set[Future[Outcome]] = {pool.submit(run_seed, seed, terms) for seed in islice(waiting, 2 * jobs)}
        try:
            while under_way:
                done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
                for future in done:
                    under_way.update(pool.submit(run_seed, seed, terms) for seed in islice(waiting, 1))
                    yield future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _prepare_worker() -> None:
    """Ctrl-C goes to every process of the terminal, and the parent decides; a parent that was killed takes us along."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
