"""Seeded worlds in which everything goes wrong, and an oracle that keeps its own books."""
