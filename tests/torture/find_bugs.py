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
from gapless.simulator.torture.run import THE_RUN_ENDS_WELL, run_seed
from tests.torture.bugs import BUGS, FOUND_BY

TERMS = Terms(hours=0.25, rate_per_s=2.0)
"""The worlds that must find them: quarters of an hour, as in ``make check``."""


def broken_promises(violations: Sequence[str]) -> tuple[str, ...]:
    """The promises that were broken, each once."""
    return tuple(dict.fromkeys(text.split(": ", 1)[0] for text in violations))


def breaks(promise: str, violations: Sequence[str]) -> bool:
    """Whether this promise was broken; it may go on with how."""
    return any(text.startswith(f"{promise}: ") for text in violations)


def first_found(name: str, seeds: Sequence[int], wanted: int, promise: str) -> tuple[str, list[int], str, float]:
    """The first seeds in which a bug breaks a promise (empty: any), the promises broken there, the processor time."""
    began_s = time.process_time()
    found: list[int] = []
    said = ""
    for seed in seeds:
        with BUGS[name]():
            violations = run_seed(seed, TERMS).violations
        broken = broken_promises(violations)
        # A mutation that only raises may have rotted: whether that is what it should do is for a reader to say.
        is_found = breaks(promise, violations) if promise else bool(set(broken) - {THE_RUN_ENDS_WELL})
        if is_found and run_seed(seed, TERMS).ok:
            found.append(seed)
            said = said or "; ".join(broken)
            if len(found) == wanted:
                break
    return name, found, said, time.process_time() - began_s


def main() -> int:
    """Search."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="0:100", metavar="A:B")
    parser.add_argument("--bugs", default="", help="names separated by commas; default: all")
    parser.add_argument("--wanted", type=int, default=1, help="seeds to find for each")
    parser.add_argument("--any-promise", action="store_true", help="take a seed that breaks another promise than known")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    first, end = map(int, options.seeds.split(":"))
    names = [name for name in options.bugs.split(",") if name] or list(BUGS)
    missed: list[str] = []
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        promises = {} if options.any_promise else {name: promise for name, (_seed, promise) in FOUND_BY.items()}
        under_way = [
            pool.submit(first_found, name, range(first, end), options.wanted, promises.get(name, "")) for name in names
        ]
        for future in as_completed(under_way):
            name, seeds, said, cpu_s = future.result()
            missed += [name] if not seeds else []
            sys.stdout.write(f'    "{name}": {seeds},  # {cpu_s:.1f} s: {said}\n')
            sys.stdout.flush()
    sys.stdout.write(
        f"{len(names) - len(missed)} of {len(names)} bugs found" + (f"; not: {missed}" if missed else "") + "\n"
    )
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
