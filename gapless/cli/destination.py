"""Where a command writes to: stdout, a file that appears when it is complete, or whatever else takes bytes."""

import errno
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from stat import S_IMODE, S_ISDIR, S_ISREG
from types import FrameType
from typing import BinaryIO, Final, NoReturn

from gapless.cli.endings import OneLineError
from gapless.cli.exit_codes import WRONG_USAGE

STDOUT: Final = Path("-")
_OF_A_RECORDING: Final = ("", "-wal", "-shm", "-journal", "-lock")
"""What the names of its files end with."""
_DESCRIPTORS: Final = ("/dev/stdout", "/dev/stderr", "/dev/fd/", "/proc/")
"""What is named so is open already, whatever it leads to."""


@contextmanager
def written(output: Path, recording: Path) -> Iterator[BinaryIO]:
    """A file to write all of it into.

    A regular file is complete or as it was before, and a link to it stays one. What is none (a device, a pipe) or is
    open already is written as it is.

    Args:
        output: what was named.
        recording: what is read meanwhile, and must not be written.

    Raises:
        OneLineError: it cannot be written, or belongs to the recording.
    """
    if output == STDOUT:
        if sys.stdout is None:
            raise OneLineError("cannot write to stdout: it is closed")
        yield sys.stdout.buffer
        return
    try:
        found = _found(output)
        if _is_part_of(recording, output, found):
            raise OneLineError(f"{output} is a file of the recording itself: name another one with -o", WRONG_USAGE)
        if found is not None and S_ISDIR(found.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if str(output).startswith(_DESCRIPTORS) or (found is not None and not S_ISREG(found.st_mode)):
            # At its end: what was redirected with >> keeps what it held.
            with output.open("ab") as file:
                yield file
        else:
            with _replaced(Path(os.path.realpath(output)), found) as file:
                yield file
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OneLineError(f"cannot write {output}: {error.strerror or error}") from None


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Whoever asks the process to end, or closes its terminal, has it clean up first, as Ctrl-C does."""
    numbers = [each for each in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(each) is signal.SIG_DFL]
    try:
        for number in numbers:
            signal.signal(number, _end)
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


def _end(number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


def _found(output: Path) -> os.stat_result | None:
    try:
        return output.stat()
    except FileNotFoundError:
        return None


def _is_part_of(recording: Path, output: Path, found: os.stat_result | None) -> bool:
    for name in (recording, os.path.realpath(recording)):
        for ending in _OF_A_RECORDING:
            own = Path(f"{name}{ending}")
            if os.path.realpath(output) == os.path.realpath(own):
                return True
            if found is not None and own.exists() and os.path.samestat(found, own.stat()):
                return True
    return False


@contextmanager
def _replaced(target: Path, found: os.stat_result | None) -> Iterator[BinaryIO]:
    """A new file beside it, which takes its name, and its permissions, when all is in it."""
    part = target.with_name(f"gapless-export-{token_hex(4)}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if found is not None:
                os.fchmod(descriptor, S_IMODE(found.st_mode))
            yield file
            file.flush()
            os.fsync(descriptor)
        part.replace(target)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise
