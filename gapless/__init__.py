"""gapless keeps a real-time market-data feed whole.

The parts live in their own packages: :mod:`gapless.controller` (embed this), :mod:`gapless.states` (the state machine),
:mod:`gapless.simulator` (an exchange to test against) and :mod:`gapless.diagrams` (the machine as a picture).

Logging is loguru's and silent until the embedding app asks for it with ``logger.enable("gapless")``.
"""

from loguru import logger

__version__ = "0.1.0"

logger.disable("gapless")
