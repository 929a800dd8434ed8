"""An app that is killed again and again, with faults on, has everything once, or the word that it is lost."""

import os
from collections import Counter

import pytest
import trio
from trio.testing import MockClock

from tests.controller.crash_story import Story

FEW = range(8)
MANY = range(int(os.environ.get("GAPLESS_CRASH_SEEDS", "200")))


def told(seed: int) -> Story:
    story = Story(seed)
    trio.run(story.tell, clock=MockClock(autojump_threshold=0))
    assert list(story.faults()) == [], f"seed {seed}"
    return story


def test_killed_at_random_moments() -> None:
    seen: Counter[str] = Counter()
    for seed in FEW:
        seen += told(seed).seen
    assert {"restart", "killed with something unread", "killed with holes"} <= seen.keys()


@pytest.mark.long
def test_killed_at_many_random_moments() -> None:
    seen: Counter[str] = Counter()
    for seed in MANY:
        seen += told(seed).seen
    wanted = {f"killed in {state}" for state in ("SILENT", "REST_FALLBACK", "RESYNCING", "CONNECTED", "RECONNECTING")}
    wanted |= {
        "restart",
        "garbled",
        "killed with something unread",
        "killed with holes",
        "killed before a restart was read",
        "killed between a loss and its reset",
        "killed before two restarts were read",
        "killed while corrupt ids were believed",
    }
    assert wanted <= seen.keys(), f"what did not happen: {wanted - seen.keys()}"
