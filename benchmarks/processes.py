"""The processes of a benchmark: the server, the contenders, their environments; pinned, and gone when it is over."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent
ENVIRONMENTS: Final = ROOT / ".bench"
AUTHORITY: Final = ENVIRONMENTS / "authority.pem"
"""What contenders trust."""
CERTIFICATE: Final = ENVIRONMENTS / "certificate.pem"
"""The server's key and certificate."""
_CONTENDER_MAX_S: Final = 120.0


class MeasurementError(Exception):
    """A process did not do what it was started for; the last lines it wrote say why."""


def processors() -> tuple[int | None, int | None]:
    """One for the server, another for the contenders; None where there is only one, or no way to choose."""
    if not hasattr(os, "sched_getaffinity"):
        return None, None
    allowed = sorted(os.sched_getaffinity(0))
    return (allowed[0], allowed[-1]) if len(allowed) > 1 else (None, None)


def python_of(environment: str) -> Path:
    """The interpreter of a peer's environment."""
    return ENVIRONMENTS / environment / "bin" / "python"


def certificate() -> Path:
    """A certificate for localhost and an authority that vouches for it, made once."""
    if not CERTIFICATE.exists():
        ENVIRONMENTS.mkdir(exist_ok=True)
        key, leaf, authority_key = (ENVIRONMENTS / name for name in ("leaf.key", "leaf.pem", "authority.key"))
        curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "3650")
        names = ("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1")
        made = ("req", "-x509", *curve)
        signed_by = (
            "-CA",
            str(AUTHORITY),
            "-CAkey",
            str(authority_key),
            "-addext",
            "basicConstraints=critical,CA:FALSE",
        )
        for arguments in (
            (*made, "-subj", "/CN=gapless benchmarks", "-keyout", str(authority_key), "-out", str(AUTHORITY)),
            (*made, *names, *signed_by, "-keyout", str(key), "-out", str(leaf)),
        ):
            subprocess.run(["openssl", *arguments], check=True, capture_output=True)  # noqa: S607
        CERTIFICATE.write_text(key.read_text() + leaf.read_text())
        for file in (key, leaf, authority_key):
            file.unlink()
    return CERTIFICATE


@contextmanager
def started(
    arguments: Sequence[str],
    *,
    cpu: int | None = None,
    stderr: IO[bytes] | int | None = None,
    extra: Mapping[str, str] | None = None,
) -> "Iterator[subprocess.Popen[bytes]]":
    """Run a process in a group of its own; the group is killed at the end, whatever happened.

    Its standard input is a pipe that closes with this process: it ends with it even where this one is killed.
    """
    process = subprocess.Popen(
        arguments,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        cwd=ROOT,
        env=_environment() | dict(extra or {}),
        start_new_session=True,
    )
    try:
        if cpu is not None:
            os.sched_setaffinity(process.pid, {cpu})
        yield process
    finally:
        with_group(process, signal.SIGKILL)
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def with_group(process: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    """Signal a process that was started here, and its children."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _environment() -> dict[str, str]:
    # Nothing of the caller's Python reaches a peer's; no proxy stands between two processes of one host.
    dropped = ("PYTHON", "VIRTUAL_ENV")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    kept = {name: value for name, value in kept.items() if not name.lower().endswith("_proxy")}
    return kept | {"PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}


@contextmanager
def server(*, port: int = 0, cpu: int | None = None, tls: bool = False) -> Iterator[dict[str, str]]:
    """The measuring server; gives its addresses."""
    command = [sys.executable, "-m", "benchmarks.server", str(port), *([str(certificate())] if tls else [])]
    with started(command, cpu=cpu) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise MeasurementError("the server did not start")
        addresses: dict[str, str] = json.loads(line)
        yield addresses


def install(environment: str, packages: Sequence[str]) -> None:
    """Make a peer's environment, or bring it up to date."""
    folder = ENVIRONMENTS / environment
    if not python_of(environment).exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    pip = [str(python_of(environment)), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--upgrade"]
    # Not from here: pip would take what this folder describes for a part of that environment.
    subprocess.run([*pip, *packages], check=True, cwd=ENVIRONMENTS)


def result_of(
    module: str, task: Mapping[str, Any], *, environment: str | None = None, max_s: float = _CONTENDER_MAX_S
) -> dict[str, Any]:
    """Run one module as a process to its end and read its figures: the last line of JSON that it prints.

    Args:
        module: as in ``python -m``.
        task: its one argument.
        environment: of a peer; None: this one.
        max_s: seconds until it has failed.

    Raises:
        MeasurementError: it failed, or took too long.
    """
    python = sys.executable if environment is None else str(python_of(environment))
    # TLS: default contexts trust the authority, without a word to the contender.
    extra = {"SSL_CERT_FILE": task["certificate"]} if task.get("certificate") else {}
    with started([python, "-m", module, json.dumps(task)], stderr=subprocess.PIPE, extra=extra) as process:
        # `communicate` would close its input, and so end it.
        held, process.stdin = process.stdin, None
        try:
            out, errors = process.communicate(timeout=max_s)
        except subprocess.TimeoutExpired:
            raise MeasurementError(f"not done within {max_s:g} s") from None
        finally:
            process.stdin = held
    lines = [line for line in out.splitlines() if line.startswith(b"{")]
    if not lines:
        raise MeasurementError(errors.decode("utf-8", "replace").strip()[-2_000:] or "no word from it")
    figures: dict[str, Any] = json.loads(lines[-1])
    return figures
