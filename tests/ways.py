"""How a test gets a controller into each of the five states: the public ways, by the names the tests use."""

from gapless.simulator.testkit.ways import WAY_TO, to_reconnecting, to_resyncing, to_silent

__all__ = ["WAY_TO", "to_reconnecting", "to_resyncing", "to_silent"]
