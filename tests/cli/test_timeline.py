"""``gapless timeline`` at the shell, and the lines of ``gapless watch --requests``."""

import io
import sys
from functools import partial
from pathlib import Path

import httpx
import msgspec
import pytest
import trio
from click.testing import CliRunner, Result

from gapless.cli import main
from gapless.cli.output import Output
from gapless.cli.rest_lines import Witness, client_through
from gapless.cli.timeline import timeline
from gapless.diagrams.run import read_run
from gapless.diagrams.run.model import Answer

LINES = (
    b'{"event":"MarketData","channel":"ticker","symbol":"BTC/USD","sequence_id":1,"source":"LIVE","received_at":10.0}\n'
    b'{"event":"GapFound","channel":"ticker","symbol":"BTC/USD","start_seq":2,"end_seq":3,"at":11.0}\n'
)


@pytest.fixture
def run_file(tmp_path: Path) -> Path:
    path = tmp_path / "night.jsonl"
    path.write_bytes(LINES)
    return path


def run(*arguments: str | Path, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(timeline, [str(each) for each in arguments], input=stdin)


def assert_one_clear_line(result: Result, *, says: str, code: int = 1) -> None:
    assert result.exit_code == code
    assert isinstance(result.exception, SystemExit)
    assert says in result.output
    assert "Traceback" not in result.output
    assert result.output.splitlines()[-1].startswith("Error: ")


@pytest.mark.parametrize(("name", "start"), [("a.svg", b"<?xml"), ("a.SVG", b"<?xml"), ("a.png", b"\x89PNG")])
def test_the_suffix_tells_the_form(run_file: Path, tmp_path: Path, name: str, start: bytes) -> None:
    result = run(run_file, "-o", tmp_path / name)

    assert (result.exit_code, result.output) == (0, "")
    assert (tmp_path / name).read_bytes().startswith(start)


def test_the_corner_names_the_run(run_file: Path, tmp_path: Path) -> None:
    run(run_file, "-o", tmp_path / "a.svg")
    run(run_file, "-o", tmp_path / "b.svg", "--title", "the night of the 5th")

    assert ">night.jsonl</text>" in (tmp_path / "a.svg").read_text()
    assert ">the night of the 5th</text>" in (tmp_path / "b.svg").read_text()


def test_a_run_comes_from_standard_input(tmp_path: Path) -> None:
    result = run("-", "-o", tmp_path / "a.svg", stdin=LINES)

    assert result.exit_code == 0
    assert "2 ids still missing" in (tmp_path / "a.svg").read_text()


def test_an_empty_file_is_a_picture_that_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").touch()

    assert run(tmp_path / "a.jsonl", "-o", tmp_path / "a.svg").exit_code == 0
    assert "no data of any stream in these lines" in (tmp_path / "a.svg").read_text()


def test_a_bad_line_is_named_and_nothing_is_written(run_file: Path, tmp_path: Path) -> None:
    run_file.write_bytes(LINES + b'{"event":"GapFound","at":1}\n')

    result = run(run_file, "-o", tmp_path / "a.svg")

    assert_one_clear_line(result, says=f"{run_file}, line 3: expected an event of `gapless watch --json`")
    assert not (tmp_path / "a.svg").exists()


def test_an_unknown_suffix_is_wrong_usage(run_file: Path, tmp_path: Path) -> None:
    assert_one_clear_line(run(run_file, "-o", tmp_path / "a.jpg"), says="ends with .svg or .png", code=2)


def test_files_that_cannot_be_read_or_written_are_one_clear_line(run_file: Path, tmp_path: Path) -> None:
    missing, nowhere = tmp_path / "b.jsonl", tmp_path / "not_there" / "a.svg"

    assert_one_clear_line(run(missing, "-o", tmp_path / "a.svg"), says=f"cannot read {missing}: No such file")
    assert_one_clear_line(run(tmp_path, "-o", tmp_path / "a.svg"), says=f"cannot read {tmp_path}: Is a directory")
    assert_one_clear_line(run(run_file, "-o", nowhere), says=f"cannot write {nowhere}: No such file or directory")


def test_without_matplotlib_one_line_says_how_to_get_it(
    run_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("gapless.diagrams.run.")]:
        if name.endswith(("drawing", "sheet", "panels", "stream_panel")):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)

    result = run(run_file, "-o", tmp_path / "a.svg")

    assert_one_clear_line(result, says="pip install 'gapless[timeline]'")
    assert len(result.output.splitlines()) == 1


def test_help_teaches_by_example() -> None:
    result = run("--help")

    assert result.exit_code == 0
    assert "gapless watch ... --json --requests > night.jsonl" in result.output
    assert "timeline" in CliRunner().invoke(main, ["--help"]).output


def test_requests_go_with_json() -> None:
    urls = ["--ws-url", "ws://127.0.0.1:1/ws", "--rest-url", "http://127.0.0.1:1", "--stream", "ticker:A"]

    result = CliRunner().invoke(main, ["watch", *urls, "--requests"])

    assert_one_clear_line(result, says="--requests goes with --json", code=2)


async def answer(stream: trio.SocketStream) -> None:
    """One reply, and the connection is over."""
    asked = await stream.receive_some(65_536)
    status = b"429 Too Many Requests" if b"limited" in asked else b"200 OK"
    await stream.send_all(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    await stream.aclose()


async def test_each_request_is_a_line_whatever_becomes_of_it(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    with path.open("wb") as file:
        out = Output(io.TextIOWrapper(file))
        witness = Witness()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(witness.print_to, out)
            async with client_through(witness, 5.0) as client, trio.open_nursery() as servers:
                assert client is not None
                listeners = await servers.start(partial(trio.serve_tcp, host="127.0.0.1"), answer, 0)
                port = listeners[0].socket.getsockname()[1]
                await client.get(f"http://127.0.0.1:{port}/prices?symbol=BTC/USD")
                await client.get(f"http://127.0.0.1:{port}/limited")
                with pytest.raises(httpx.ConnectError):
                    await client.get("http://127.0.0.1:1/refused")
                with trio.CancelScope() as unwanted:
                    unwanted.cancel()
                    await client.get(f"http://127.0.0.1:{port}/unwanted")
                servers.cancel_scope.cancel()

        lines = path.read_bytes().splitlines(keepends=True)

    said = [msgspec.json.decode(line) for line in lines]
    assert [(each["path"], each["status"], each["error"]) for each in said] == [
        ("/prices?symbol=BTC/USD", 200, None),
        ("/limited", 429, None),
        ("/refused", None, "ConnectError"),
        ("/unwanted", None, "cancelled"),
    ]
    requests = read_run(lines).requests
    assert requests is not None
    assert [each.answer for each in requests] == [Answer.GIVEN, Answer.LIMITED, Answer.FAILED, Answer.CANCELLED]


async def test_without_a_witness_the_controller_has_its_own_client() -> None:
    async with client_through(None, 5.0) as client:
        assert client is None
