"""Which seeds find which planted bug: ``python -m tests.torture.find_bugs --seeds 0:100``.

Prints a row for each bug as soon as a seed finds it, and exits with 1 if one is never found.
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context

from gapless.simulator.torture.plan import Terms
from gapless.simulator.torture.run import run_seed
from tests.torture.bugs import BUGS

TERMS = Terms(hours=0.25, rate_per_s=2.0)
"""The worlds that must find them: quarters of an hour, as in ``make check``."""


def first_found(name: str, seeds: Sequence[int], wanted: int = 1) -> tuple[str, list[int], str, float]:
    """The first seeds that find a bug, what they say, and the processor time it took."""
    began_s = time.process_time()
    found: list[int] = []
    said = ""
    for seed in seeds:
        with BUGS[name]():
            outcome = run_seed(seed, TERMS)
        if not outcome.ok and run_seed(seed, TERMS).ok:
            found.append(seed)
            said = said or outcome.violations[0]
            if len(found) == wanted:
                break
    return name, found, said, time.process_time() - began_s


def main() -> int:
    """Search."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="0:100", metavar="A:B")
    parser.add_argument("--bugs", default="", help="names separated by commas; default: all")
    parser.add_argument("--wanted", type=int, default=1, help="seeds to find for each")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    first, end = map(int, options.seeds.split(":"))
    names = [name for name in options.bugs.split(",") if name] or list(BUGS)
    missed: list[str] = []
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        under_way = [pool.submit(first_found, name, range(first, end), options.wanted) for name in names]
        for future in as_completed(under_way):
            name, seeds, said, cpu_s = future.result()
            missed += [name] if not seeds else []
            sys.stdout.write(f'    "{name}": {seeds},  # {cpu_s:.1f} s: {said[:150]}\n')
            sys.stdout.flush()
    sys.stdout.write(
        f"{len(names) - len(missed)} of {len(names)} bugs found" + (f"; not: {missed}" if missed else "") + "\n"
    )
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
