"""Sans-IO adapters, one module per venue."""

from gapless.controller.exchanges.reference import ReferenceExchange

__all__ = ["ReferenceExchange"]
