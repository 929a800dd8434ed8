"""The page that embeds a controller: whether the feed is whole, what is happening to it, and the market itself.

An app like any other: it knows the public API of :mod:`gapless.controller` and nothing behind it. Its model (points,
candles, chronicle, streams, the picture of them all) is pure and takes the time as an argument; a thin server shows it.

Embed it with :func:`serve_dashboard`; docs/dashboard.md shows how. :func:`witnessed_client` puts REST requests on the
time line, :func:`open_faults` adds the buttons of a demo.
"""

from gapless.dashboard.breakages import FaultButton
from gapless.dashboard.embed import serve_dashboard
from gapless.dashboard.faults import FaultError, Faults, UnknownFaultError, open_faults
from gapless.dashboard.picture import Picture, Sample
from gapless.dashboard.rest_witness import witnessed_client
from gapless.dashboard.server import CannotListenError

__all__ = [
    "CannotListenError",
    "FaultButton",
    "FaultError",
    "Faults",
    "Picture",
    "Sample",
    "UnknownFaultError",
    "open_faults",
    "serve_dashboard",
    "witnessed_client",
]
