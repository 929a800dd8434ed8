"""Which faults are switched on, by server port."""

from enum import Flag, auto, unique

from gapless.simulator.expected import require


@unique
class Direction(Flag):
    """Which way bytes travel."""

    TO_SERVER = auto()
    """From the side that connected to the side that accepted."""
    TO_CLIENT = auto()
    """From the side that accepted to the side that connected."""
    BOTH = TO_SERVER | TO_CLIENT


class _PortSwitch:
    """On or off for every port; what was said last about a port holds, and None says it about all of them."""

    def __init__(self) -> None:
        self._otherwise = False
        self._by_port: dict[int, bool] = {}

    def turn(self, port: int | None, *, on: bool) -> None:
        if port is None:
            self._otherwise = on
            self._by_port.clear()
        else:
            self._by_port[port] = on

    def is_on(self, port: int) -> bool:
        return self._by_port.get(port, self._otherwise)


class Faults:
    """The faults that last until they are taken back. Those of a moment (a reset, a FIN) leave no trace here."""

    def __init__(self) -> None:
        self._refusal = _PortSwitch()
        self._black_holes = {direction: _PortSwitch() for direction in Direction.BOTH}

    def refuse(self, port: int | None, *, on: bool) -> None:
        """Switch the refusal of new connections."""
        self._refusal.turn(port, on=on)

    def black_hole(self, direction: Direction, port: int | None, *, on: bool) -> None:
        """Switch the black hole in ``direction``; the other direction stays as it is."""
        require(direction, Direction, "a direction")
        for one in direction:
            self._black_holes[one].turn(port, on=on)

    def refuses(self, port: int) -> bool:
        """Whether new connections to ``port`` are refused."""
        return self._refusal.is_on(port)

    def black_holes(self, port: int) -> Direction:
        """The directions that are cut for ``port``; an empty flag if none is."""
        cut = Direction(0)
        for one, switch in self._black_holes.items():
            if switch.is_on(port):
                cut |= one
        return cut
