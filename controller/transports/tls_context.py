"""The TLS context of those who bring none: it verifies certificates and names, by the machine's authorities."""

import ssl
from functools import cache


@cache
def default_context() -> ssl.SSLContext:
    """One for all connections of the process: reading the machine's certificates takes tens of milliseconds."""
    return ssl.create_default_context()
