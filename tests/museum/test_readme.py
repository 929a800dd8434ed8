"""The table in README.md lists each exhibit once: what it is called, what went wrong, and the test."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
TITLE = re.compile(r"(?P<exhibit>\S.* (?:PR)?#\d+): (?P<lesson>.+)")
"""The first line of an exhibit's docstring."""


def exhibits() -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for file in sorted(HERE.glob("test_*.py")):
        if file != Path(__file__):
            for node in ast.parse(file.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                    yield file.name, node


def row(file: str, test: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    title = TITLE.fullmatch((ast.get_docstring(test) or "").partition("\n")[0])
    assert title, f"{file}: {test.name}: the docstring begins with the project, the number and what went wrong there"
    lesson = title["lesson"].replace("``", "`").replace("|", r"\|")
    return f"| {title['exhibit']} | {lesson} | [{test.name}]({file}) |"


def test_every_exhibit_is_listed_once() -> None:
    listed = [line for line in (HERE / "README.md").read_text(encoding="utf-8").splitlines() if ".py) |" in line]
    there = [row(file, test) for file, test in exhibits()]
    missing = "\n".join(each for each in there if each not in listed)
    assert not missing, f"README.md lacks:\n{missing}"
    assert listed == there, "README.md lists what is not there, or not in the order of the files"
    names = [line.split(" | ")[0] for line in there]
    assert len(set(names)) == len(names), "two tests of one exhibit"
