"""The import rules of the design: who may know whom. Read from the source, so that a lazy import counts as well."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

ALLOWED = {
    "states": set[str](),
    "controller": {"states"},
    "simulator": set[str](),
    "diagrams": {"states"},
    "dashboard": {"controller", "states", "diagrams"},
    "gapless": {"states", "controller", "simulator", "diagrams", "dashboard", "cli"},
}

CLIENT_PARTS = {"testkit", "torture"}
"""The parts of the simulator that run a controller; the exchange itself must not know its client."""
CLIENTS_OF_BOTH = {"states", "controller"}


def imported(path: Path) -> set[str]:
    """The project's packages that a file imports, ``gapless.controller.feed`` counting as ``controller``."""
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports are not used"
            names += [
                f"{node.module}.{alias.name}" if node.module == "gapless" else str(node.module) for alias in node.names
            ]
    packages = {name.split(".")[1] for name in names if name.startswith("gapless.")}
    return packages & {*ALLOWED, "cli"}


@pytest.mark.parametrize("folder", ALLOWED)
def test_a_package_imports_only_what_it_may_know(folder: str) -> None:
    files = [path for path in (ROOT / folder).rglob("*.py") if "typings" not in path.parts]
    assert files
    for path in files:
        allowed = ALLOWED[folder] | (CLIENTS_OF_BOTH if CLIENT_PARTS & set(path.parts) else set[str]())
        foreign = imported(path) - allowed - {folder}
        assert not foreign, f"{path.relative_to(ROOT)} must not import {', '.join(sorted(foreign))}"


@pytest.mark.parametrize("folder", ALLOWED)
def test_code_imports_the_project_as_gapless(folder: str) -> None:
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                assert str(node.module).split(".")[0] not in {*ALLOWED} - {"gapless"}, path


@pytest.mark.parametrize("library", ["transitions"])
def test_only_the_state_machine_knows_its_library(library: str) -> None:
    for folder in ("controller", "simulator", "dashboard", "gapless"):
        for path in (ROOT / folder).rglob("*.py"):
            text = path.read_text()
            assert f"import {library}" not in text, path
            assert f"from {library}" not in text, path


def test_the_dashboard_is_an_app_like_any_other() -> None:
    """It knows only what the controller's, the states' and the diagrams' ``__init__`` offer, never what is behind."""
    for path in (ROOT / "dashboard").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                names = [str(node.module)]
            else:
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                _, _, behind = name.partition("gapless.")
                assert behind.startswith("dashboard.") or "." not in behind, f"{path}: {name} is not public"
