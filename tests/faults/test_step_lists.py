"""The lists of durable steps are whole: each step is used where it says, each use is listed."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import coordinator.steps
import hsm_backend.durable.steps
import signer_agent.steps

ROOT = Path(__file__).parents[2]
LISTS = {
    "coordinator": coordinator.steps,
    "hsm_backend": hsm_backend.durable.steps,
    "signer_agent": signer_agent.steps,
}
COMMITS = {"before_commit", "after_commit"}


def trees(package: str) -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted((ROOT / package).rglob("*.py")):
        yield path, ast.parse(path.read_text())


def crash_points(tree: ast.AST) -> Iterator[ast.expr]:
    """What every call of `crash_point` in a module is given."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = node.func
            name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            if name == "crash_point":
                yield node.args[0]


def written(tree: ast.AST) -> Iterator[str]:
    """Every `Write.MEMBER`."""
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id == "Write"
        ):
            yield node.attr


@pytest.mark.parametrize("package", LISTS)
def test_each_use_is_listed_and_each_step_used(package: str):
    steps = LISTS[package]
    named = {
        name: text
        for name, text in vars(steps).items()
        if name.isupper() and isinstance(text, str) and text in steps.STEPS
    }
    members = getattr(steps, "Write", {})
    used: set[str] = set()
    for path, tree in trees(package):
        for given in crash_points(tree):
            if isinstance(given, ast.Attribute) and given.attr in COMMITS and members:
                continue
            assert isinstance(given, ast.Name) and given.id in named, (
                f"{path}: {ast.unparse(given)}"
            )
            used.add(given.id)
    assert used == set(named)
    kinds = {kind for _, tree in trees(package) for kind in written(tree)}
    assert kinds == {member.name for member in members}
    commits = {step for one in members for step in (one.before_commit, one.after_commit)}
    assert set(steps.STEPS) == commits | set(named.values())


def test_no_step_has_the_name_of_another():
    everywhere = [step for steps in LISTS.values() for step in steps.STEPS]
    assert len(set(everywhere)) == len(everywhere)


def test_nothing_else_in_the_tree_ends_a_process():
    for package in ("protocol", "quorate"):
        for path, tree in trees(package):
            assert not list(crash_points(tree)), path
