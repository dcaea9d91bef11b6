"""Packages say what lives in them, hold no code in `__init__`, and need what they declare."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.architecture.checkout import PACKAGES, ROOT, modules

INITS = [path for path in modules() if path.name == "__init__.py"]


def _relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", INITS, ids=_relative)
def test_a_package_file_is_a_docstring_and_nothing_else(path: Path):
    statements = ast.parse(path.read_text()).body
    assert len(statements) == 1
    assert isinstance(statements[0], ast.Expr)
    assert isinstance(statements[0].value, ast.Constant)
    assert isinstance(statements[0].value.value, str)


def test_every_directory_with_code_is_a_package():
    missing = {path.parent for path in modules()} - {path.parent for path in INITS}
    assert not {_relative(path) for path in missing}


def test_packages_say_that_they_are_typed():
    assert all((ROOT / package / "py.typed").is_file() for package in PACKAGES)


def _imported(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


def test_what_the_product_imports_is_declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {_canonical(Requirement(line).name) for line in project["dependencies"]}
    # The test kit is a plugin of pytest, and is loaded by it alone.
    declared.add("pytest")
    providers = packages_distributions()
    undeclared = {
        (_relative(path), name)
        for path in modules()
        for name in _imported(path) - sys.stdlib_module_names - set(PACKAGES)
        if not declared & {_canonical(provider) for provider in providers.get(name, ())}
    }
    assert not undeclared


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_lock_pins_every_requirement_within_its_bounds():
    lines = [
        line
        for line in (ROOT / "requirements.lock").read_text().splitlines()
        if not line.startswith("#")
    ]
    # Nothing but names and versions: no address that a package comes from.
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line) for line in lines)
    pinned = {_canonical(name): version for name, version in (li.split("==") for li in lines)}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["test"]]
    for requirement in map(Requirement, wanted):
        assert pinned[_canonical(requirement.name)] in requirement.specifier, str(requirement)
        operators = {bound.operator for bound in requirement.specifier}
        assert operators == {">=", "<"}, f"{requirement} lacks a bound"
