"""The state machine as a picture, rendered from its tables and from nothing else.

>>> from gapless.diagrams import dot, mermaid, stale
>>> mermaid().splitlines()[0]
'stateDiagram-v2'
>>> dot().splitlines()[0]
'digraph gapless {'
>>> stale()
[]

``svg()`` and ``png()`` are drawn from the DOT by pygraphviz. A page that embeds the SVG finds each state, arrow and
trigger by :func:`state_id`, :func:`edge_id` and :func:`trigger_id`; the shipped files are in :data:`COMMITTED`.
"""

from gapless.diagrams.dot import dot
from gapless.diagrams.images import DrawingError, png, svg
from gapless.diagrams.mermaid import mermaid
from gapless.diagrams.rendered import COMMITTED, RENDERINGS, stale, write_all
from gapless.diagrams.style import edge_id, state_id, trigger_id

__all__ = [
    "COMMITTED",
    "RENDERINGS",
    "DrawingError",
    "dot",
    "edge_id",
    "mermaid",
    "png",
    "stale",
    "state_id",
    "svg",
    "trigger_id",
    "write_all",
]
