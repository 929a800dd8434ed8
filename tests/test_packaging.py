"""The wheel is complete, and works outside the checkout."""

import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = {"gapless": "gapless", "states": "gapless/states", "controller": "gapless/controller"} | {
    "simulator": "gapless/simulator",
    "diagrams": "gapless/diagrams",
    "dashboard": "gapless/dashboard",
}


# Neither the checkout nor its editable install may help: -P, and the editable finder taken out.
RUN_ALONE = """
import sys
sys.path.insert(0, sys.argv[1])
sys.meta_path[:] = [finder for finder in sys.meta_path if "editable" not in getattr(finder, "__module__", "")]
import gapless.cli, gapless.controller, gapless.dashboard, gapless.diagrams, gapless.simulator
assert gapless.controller.__file__.startswith(sys.argv[1]), gapless.controller.__file__
gapless.cli.main(["diagram", "--check"])
"""


def sources() -> set[str]:
    """Every file that must be in the wheel, by its path there."""
    found: set[str] = set()
    for folder, home in FOLDERS.items():
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                found.add(f"{home}/{path.relative_to(ROOT / folder).as_posix()}")
    return found


def test_every_package_is_listed_and_typed() -> None:
    listed = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    packages = {path.rsplit("/", 1)[0].replace("/", ".") for path in sources() if path.endswith("/__init__.py")}
    assert listed == packages
    assert all(f"{package.replace('.', '/')}/py.typed" in sources() for package in packages)


def test_the_type_checkers_see_every_package() -> None:
    typings = ROOT / "typings" / "gapless"
    for folder, home in FOLDERS.items():
        if folder != "gapless":
            link = typings / home.removeprefix("gapless/")
            assert link.is_symlink()
            assert link.resolve() == ROOT / folder


@pytest.mark.packaging
def test_the_wheel_holds_everything_and_runs_alone(tmp_path: Path) -> None:
    """Slow (builds a wheel), so `make packaging` runs it and `make test` does not."""
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
        archive.extractall(tmp_path / "unpacked")
    assert packed == sources()
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    run = subprocess.run(
        [sys.executable, "-P", "-c", RUN_ALONE, str(tmp_path / "unpacked")],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
