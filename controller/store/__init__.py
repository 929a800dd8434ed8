"""Recording a controller into a file that survives the process: :func:`open_recording`, or just :func:`record`."""

from gapless.controller.store.continuity import Lost
from gapless.controller.store.database import Sync
from gapless.controller.store.errors import StoreError, StoreFormatError, StoreLostError, StoreTroubleError
from gapless.controller.store.opening import open_recording, record
from gapless.controller.store.reading import load_cursor
from gapless.controller.store.recording import Recording, RecordingStats
from gapless.controller.store.report import AccountReport, Refused, Report, SeriesReport, report_of
from gapless.controller.store.worker import Worker

__all__ = [
    "AccountReport",
    "Lost",
    "Recording",
    "RecordingStats",
    "Refused",
    "Report",
    "SeriesReport",
    "StoreError",
    "StoreFormatError",
    "StoreLostError",
    "StoreTroubleError",
    "Sync",
    "Worker",
    "load_cursor",
    "open_recording",
    "record",
    "report_of",
]
