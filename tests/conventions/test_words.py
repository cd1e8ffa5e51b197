"""One word per thing (docs/glossary.md), and names that say something."""

import ast
import re
from pathlib import Path

from tests.conventions.project import OTHER_CODE, PRODUCT, ROOT, name_of, python_files

EMPTY_NAMES = {"common", "helper", "helpers", "manager", "managers", "misc", "util", "utils"}
OTHER_WORDS = {"agent": "receptionist", "agents": "receptionists", "patient": "caller", "patients": "callers"}
FOREIGN_NAMES = {"user_agent"}  # a name of HTTP's
GLOSSARY = (
    "Receptionist", "Caller", "Clinic", "Call", "CallLeg", "turn", "Queue", "Offer", "presence", "activity", "wrap-up",
    "Disposition", "BookingLink", "Recording", "RetentionRule", "LegalHold", "purge", "erasure", "ledger",
)  # fmt: skip


def test_no_file_has_a_name_that_says_nothing() -> None:
    files = python_files(*PRODUCT, *OTHER_CODE)
    assert [name_of(file) for file in files if file.stem in EMPTY_NAMES or file.parent.name in EMPTY_NAMES] == []


def test_the_code_uses_the_words_of_the_glossary() -> None:
    found = [
        f"{name_of(file)}:{line} {name}: say {OTHER_WORDS[word]}"
        for file in python_files(*PRODUCT)
        for line, name in _names_in(file)
        if name.lower() not in FOREIGN_NAMES
        for word in _words_of(name)
        if word in OTHER_WORDS
    ]
    assert found == []


def test_the_glossary_explains_every_word_of_the_product() -> None:
    headings = set(re.findall(r"^\| \*\*(.+?)\*\*", (ROOT / "docs" / "glossary.md").read_text(), flags=re.MULTILINE))
    assert set(GLOSSARY) - headings == set()


def test_only_the_clock_module_reads_the_clock() -> None:
    readers = re.compile(r"\b(datetime\.(now|utcnow|today)|date\.today|time\.time)\(")
    own_clock = {"callcenter/clock.py"}
    found = [
        f"{name_of(file)}:{number}"
        for file in python_files(*PRODUCT)
        if name_of(file) not in own_clock and not name_of(file).startswith("callcenter/simulator/")
        for number, line in enumerate(file.read_text().splitlines(), 1)
        if readers.search(line)
    ]
    assert found == []


def _names_in(file: Path) -> list[tuple[int, str]]:
    """Every name that the file gives to something, with its line."""
    names: list[tuple[int, str]] = []
    for node in ast.walk(ast.parse(file.read_text())):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                names.append((node.lineno, name))
            case ast.arg(arg=name):
                names.append((node.lineno, name))
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                names.append((node.lineno, name))
    return names


def _words_of(name: str) -> list[str]:
    """The words of a snake_case or CamelCase name, in small letters."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().split("_")
