"""One recorder of a file at a time: two would give the same numbers to different things."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from gapless.controller.store.errors import StoreTroubleError

_PASSES: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM})
"""Room, or a disk that is there again, is all that it takes."""


@contextmanager
def only_recorder(path: Path, *, shown: Path) -> Iterator[None]:
    """Hold ``FILE-lock`` while the block runs. The kernel lets go of it however the process ends.

    Args:
        path: resolved: links to one file are one file.
        shown: as the user named it.

    Raises:
        StoreTroubleError: another recorder has it, or it cannot be made.
    """
    beside = path.with_name(f"{path.name}-lock")
    try:
        descriptor = _taken(beside)
    except BlockingIOError:
        raise StoreTroubleError(
            f"{shown} is being recorded into by another process; name another file", passes=False
        ) from None
    except OSError as error:
        raise StoreTroubleError(
            f"{shown}: cannot make {beside.name} beside it: {error.strerror}", passes=error.errno in _PASSES
        ) from None
    try:
        yield
    finally:
        beside.unlink(missing_ok=True)
        os.close(descriptor)


def _taken(beside: Path) -> int:
    while True:
        descriptor = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever had it may have removed it between the two calls: then others make, and lock, another file.
            if beside.exists() and beside.stat().st_ino == os.fstat(descriptor).st_ino:
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
