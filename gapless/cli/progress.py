"""The demo as lines on stderr: where there is no terminal, or a program is watching."""

import sys
from typing import Final, NoReturn

import trio

from gapless.cli.output import Output
from gapless.cli.scene import Scene
from gapless.controller import StateChanged

_LOOK_EVERY_S: Final = 0.1


async def report_progress(scene: Scene) -> NoReturn:
    """Report every transition and everything the exchange does, for ever."""
    out = Output(sys.stderr)
    progress = Progress(scene)
    while True:
        if lines := progress.news():
            await out.write("".join(f"{line}\n" for line in lines).encode())
        await trio.sleep(_LOOK_EVERY_S)


class Progress:
    """What happened since the last look, in the order of time."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._doings = 0
        self._moves = 0

    def news(self) -> list[str]:
        """A line for each thing."""
        scene = self._scene
        doings = [(at - scene.began_at, f"the exchange {what}") for at, what in scene.story.told[self._doings :]]
        moves = [(move.at - scene.wall_began_at, _words(move)) for move in scene.tally.transitions[self._moves :]]
        self._doings += len(doings)
        self._moves += len(moves)
        return [f"{offset_s:7.2f} s  {text}" for offset_s, text in sorted(doings + moves)]


def _words(move: StateChanged) -> str:
    wait = "" if move.retry_in_s is None else f"; next attempt in {move.retry_in_s:.1f} s"
    return f"{move.before.name} -> {move.after.name} by {move.trigger} ({move.reason}{wait})"
