"""The same seed is the same world: byte-identical event logs, in processes that differ in all that must not matter."""

import os
import subprocess
import sys
from hashlib import sha256

import pytest

from gapless.simulator.torture.plan import Terms, draw

SCRIPT = """
import random, sys
seed, salt = int(sys.argv[1]), int(sys.argv[2])
# A heap that differs: addresses, and so the order of sets of objects, differ with it.
ballast = [bytearray(random.Random(salt + n).randrange(16, 4096)) for n in range(20_000 + salt)]
del ballast[::3]
from gapless.simulator.torture.plan import Terms
from gapless.simulator.torture.run import run_seed
lines = []
outcome = run_seed(seed, Terms(hours=0.25, rate_per_s=2.0), lambda now, text: lines.append(f"{now!r} {text}"))
lines.append(repr((outcome.violations, sorted(outcome.faults.items()), sorted(outcome.edges.items()), outcome.sim_s)))
sys.stdout.write("\\n".join(lines))
"""


def log_of(seed: int, salt: int) -> bytes:
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(seed), str(salt)],
        check=True,
        capture_output=True,
        env={**os.environ, "PYTHONHASHSEED": str(salt)},
    )
    return ran.stdout


WHOLE = [seed for seed in range(50) if draw(seed, Terms(hours=0.25, rate_per_s=2.0)).leaves_at is None]
"""Worlds whose app stays to the end."""


@pytest.mark.torture
@pytest.mark.parametrize("seed", WHOLE[:5])
def test_the_same_seed_gives_the_same_bytes_in_another_process(seed: int) -> None:
    first, second = log_of(seed, salt=1), log_of(seed, salt=7_919)
    assert len(first.splitlines()) > 1_000, "a log of a quarter of an hour"
    if first != second:
        pairs = zip(first.splitlines(), second.splitlines(), strict=False)
        differ = next(((a, b) for a, b in pairs if a != b), ("", ""))
        pytest.fail(f"seed {seed}: {differ[0]!r} became {differ[1]!r}")
    assert sha256(first).digest() == sha256(second).digest()
