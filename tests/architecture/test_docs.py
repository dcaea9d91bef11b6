"""What the documents point at is there: links, files, functions, tests, sections of the design."""

import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from protocol.record.entries import LEAF_LABEL
from protocol.refusals import Rule
from protocol.signing.labels import Label
from protocol.standing import Ground
from tests.architecture.checkout import PACKAGES, ROOT, modules

DESIGN = ROOT / "docs" / "design.md"
PAGES = sorted((ROOT / "docs").rglob("*.md")) + [
    ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")
]
TOP = (*PACKAGES, "tests", "docs", "deploy", "bench", "changelog.d")

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
TICKED = re.compile(r"`([^`\n]+)`(\s+\(to\s+come\))?")
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
IN_DESIGN = re.compile(r"DESIGN §(\d+)(?:\.(\d+))?")
A_PATH = re.compile(rf"(?:{'|'.join(TOP)})/[\w./-]*(?:::\w+)?")
A_NAME = re.compile(rf"(?:{'|'.join((*PACKAGES, 'docs'))})(?:\.\w+)+(?:\(\))?")
NO_NAME = re.compile(r".*\.(db|toml|json|log|sig)")


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _prose(page: Path) -> str:
    return FENCED.sub("", page.read_text("utf-8"))


def _slug(heading: str) -> str:
    """The anchor that renderers make of a heading."""
    plain = re.sub(r"[^\w\- ]", "", heading.lower())
    return plain.replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links_lead_somewhere(page: Path):
    broken = []
    for link in LINK.findall(_prose(page)):
        if link.startswith(("https://", "mailto:")):
            continue
        place, _, anchor = link.partition("#")
        target = (page.parent / place).resolve() if place else page
        there = target.exists() and target.is_relative_to(ROOT)
        if there and anchor:
            there = anchor in {_slug(found) for found in HEADING.findall(_prose(target))}
        if not there:
            broken.append(link)
    assert not broken


def _mentions(page: Path, pattern: re.Pattern[str]) -> Iterator[tuple[str, bool]]:
    """What stands between backticks and looks like ours, and whether it is said to come."""
    for text, to_come in TICKED.findall(_prose(page)):
        if pattern.fullmatch(text) and not NO_NAME.fullmatch(text):
            yield text, bool(to_come)


def _file_is_there(text: str) -> bool:
    place, _, test = text.partition("::")
    path = ROOT / place
    if test:
        return path.is_file() and re.search(rf"def {test}\(", path.read_text("utf-8")) is not None
    return path.is_dir() if place.endswith("/") else path.exists()


def _name_is_there(text: str) -> bool:
    """Whether a module has this name, or a class in a module has it."""
    pieces = text.removesuffix("()").split(".")
    for length in range(len(pieces), 0, -1):
        try:
            found: object = importlib.import_module(".".join(pieces[:length]))
        except ModuleNotFoundError:
            continue
        if getattr(found, "__file__", None) is None and length == len(pieces):
            return False  # a directory without code
        for piece in pieces[length:]:
            if not hasattr(found, piece) and piece not in getattr(found, "__annotations__", {}):
                return False
            found = getattr(found, piece, None)
        return True
    return False


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_files_that_are_named_exist(page: Path):
    gone, come = [], []
    for text, to_come in _mentions(page, A_PATH):
        if to_come and _file_is_there(text):
            come.append(text)
        elif not to_come and not _file_is_there(text):
            gone.append(text)
    assert not gone, "named, and not there"
    assert not come, "there by now: take away (to come)"


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_functions_that_are_named_exist(page: Path):
    named = {*_mentions(page, A_NAME)}
    assert not {text for text, to_come in named if not to_come and not _name_is_there(text)}
    assert not {text for text, to_come in named if to_come and _name_is_there(text)}, "is there now"


def _sections() -> set[tuple[str, str]]:
    """Sections of the design, and the numbered paragraphs in them."""
    found: set[tuple[str, str]] = set()
    section = ""
    for line in DESIGN.read_text("utf-8").splitlines():
        if heading := re.match(r"## (\d+)\. ", line):
            section = heading[1]
            found.add((section, ""))
        elif item := re.match(r"(\d+)\. \*\*", line):
            found.add((section, item[1]))
    return found


def test_references_to_the_design_resolve():
    sections = _sections()
    assert ("2", "14") in sections
    missing = {
        (_name(path), number, item)
        for path in (*PAGES, *modules(), *sorted((ROOT / "tests").rglob("*.py")))
        for number, item in IN_DESIGN.findall(path.read_text("utf-8"))
        if (number, item) not in sections
    }
    assert not missing


def test_the_index_leads_to_every_page():
    index = ROOT / "docs" / "README.md"
    records = ROOT / "docs" / "decisions" / "README.md"
    reached = {
        (page.parent / link.partition("#")[0]).resolve()
        for page in (index, records)
        for link in LINK.findall(page.read_text("utf-8"))
    }
    pages = {page for page in PAGES if page.is_relative_to(index.parent)}
    assert not {_name(page) for page in pages - reached - {index}}


def test_the_record_of_signed_bytes_has_every_label():
    text = (ROOT / "docs" / "decisions" / "0001-signed-bytes.md").read_text("utf-8")
    labels = {label.value.decode() for label in Label} | {LEAF_LABEL.decode()}
    assert not {label for label in labels if f"`{label}`" not in text}


def test_the_record_of_histories_has_every_finding():
    text = (ROOT / "docs" / "decisions" / "0006-history.md").read_text("utf-8")
    assert not {ground for ground in Ground if f"| `{ground}` |" not in text}


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_rules_that_are_named_exist(page: Path):
    """In capitals: a refusal, a finding, or a rule in the docstring of an agent's function."""
    known = {*Rule, *Ground}
    for path in modules():
        for names in re.findall(r'"""([A-Z][A-Z_]+(?:, [A-Z][A-Z_]+)*):', path.read_text("utf-8")):
            known |= {*names.split(", ")}
    named = {text for text, _ in TICKED.findall(_prose(page))}
    capitals = {text for text in named if re.fullmatch(r"[A-Z]+(?:_[A-Z]+)+", text)}
    assert not capitals - known
