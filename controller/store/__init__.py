"""Recording a controller into a file that survives the process: :func:`open_recording`, or just :func:`record`."""

from gapless.controller.store.database import Sync
from gapless.controller.store.errors import StoreError, StoreFormatError, StoreLostError, StoreTroubleError
from gapless.controller.store.recording import Recording, RecordingStats, open_recording
from gapless.controller.store.worker import Worker

__all__ = [
    "Recording",
    "RecordingStats",
    "StoreError",
    "StoreFormatError",
    "StoreLostError",
    "StoreTroubleError",
    "Sync",
    "Worker",
    "open_recording",
]
