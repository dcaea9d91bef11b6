"""References are independent: they import nothing that they are there to check."""

import ast
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
OURS = {"protocol", "quorate", "hsm_backend", "signer_agent", "coordinator", "tests"}
MODELS = [TESTS / "properties" / "unit_model.py", TESTS / "cores" / "rfc6962.py"]
VECTOR_MAKERS = sorted((TESTS / "vectors").rglob("*make*.py"))


def imported(file: Path) -> set[str]:
    """The top packages of all imports in a file, wherever in it they stand."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        match node:
            case ast.Import(names=names):
                found |= {name.name.partition(".")[0] for name in names}
            case ast.ImportFrom(module=module, level=level):
                found.add((module or "").partition(".")[0] if level == 0 else "tests")
            case ast.Call(func=ast.Name(id="__import__")):
                found.add("tests")
            case ast.Attribute(attr="import_module"):
                found.add("tests")
    return found


@pytest.mark.parametrize("file", MODELS, ids=lambda file: file.name)
def test_a_reference_model_imports_only_the_standard_library(file: Path) -> None:
    assert imported(file) <= sys.stdlib_module_names


@pytest.mark.parametrize("file", VECTOR_MAKERS, ids=lambda file: str(file.relative_to(TESTS)))
def test_what_makes_vectors_imports_nothing_of_ours(file: Path) -> None:
    assert not imported(file) & OURS


def test_every_python_file_among_the_vectors_is_a_maker_or_a_test() -> None:
    others = {file for file in (TESTS / "vectors").rglob("*.py") if file.name[:5] != "test_"}
    assert others <= set(VECTOR_MAKERS)
