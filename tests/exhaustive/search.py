"""Breadth first to the fixpoint: every reachable world once, and from each a way back to a feed that is whole."""

from collections import deque
from dataclasses import dataclass

from tests.exhaustive.account import ViolationError
from tests.exhaustive.world import Rules, World


@dataclass(frozen=True)
class Explored:
    """What a search has found."""

    worlds: dict[World, int]
    """Every reachable world, and its number in the order of discovery."""
    edges: int
    traps: list[World]
    """From where no healthy venue leads back."""


def search(rules: Rules) -> Explored:
    """Explore everything.

    Raises:
        ViolationError: something that must hold does not; the shortest way there is in the message.
    """
    start = rules.start()
    worlds = {start: 0}
    came_from: list[tuple[int, str]] = [(-1, "start")]
    healthy: list[list[int]] = [[]]
    """Of each world, those that lead here without a fault."""
    whole: list[int] = []
    frontier = deque([start])
    edges = 0
    while frontier:
        world = frontier.popleft()
        here = worlds[world]
        if rules.is_whole(world):
            whole.append(here)
        try:
            for step in rules.steps(world):
                edges += 1
                there = worlds.get(step.world)
                if there is None:
                    there = worlds[step.world] = len(came_from)
                    came_from.append((here, step.name))
                    healthy.append([])
                    frontier.append(step.world)
                if not step.fault:
                    healthy[there].append(here)
        except ViolationError as error:
            raise ViolationError(f"{error}, after: {', '.join(way_to(here, came_from))}, ...") from error
    good = bytearray(len(came_from))
    for number in whole:
        good[number] = 1
    while whole:
        for before in healthy[whole.pop()]:
            if not good[before]:
                good[before] = 1
                whole.append(before)
    traps = [world for world, number in worlds.items() if not good[number]]
    return Explored(worlds=worlds, edges=edges, traps=traps)


def way_to(number: int, came_from: list[tuple[int, str]]) -> list[str]:
    """The steps of the shortest way to a world."""
    steps: list[str] = []
    while number > 0:
        number, name = came_from[number]
        steps.append(name)
    return steps[::-1]
