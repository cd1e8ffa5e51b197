"""No secret lies in the repository (S37), and nothing that was stored or sent is ever run (S39)."""

import ast
import math
import re
from collections import Counter
from pathlib import Path

import pytest

from tests.conventions.project import PRODUCT, ROOT, name_of, python_files
from tests.conventions.test_repository import tracked

KNOWN = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY|\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"
    r"|\bgh[pousr]_[A-Za-z0-9]{36}|\bxox[abpr]-[A-Za-z0-9-]{10}"
    r"|\bSK[0-9a-f]{32}\b|\bAC(?!([0-9a-f])\1{31})[0-9a-f]{32}\b|\bcck_[A-Za-z0-9_-]{43}\b"
    r"|postgres\w*://\w+:[^@\s{$<]{6,}@"
)
"""Private keys, and the keys of AWS, GitHub, Slack, Twilio and our own API; addresses with a password in them."""
TOKEN = re.compile(r"(?<![A-Za-z0-9+/_=-])[A-Za-z0-9+/_-]{24,100}={0,2}(?![A-Za-z0-9+/_=-])")
ENTROPY_BITS = 4.4
"""A random token has more than that for each character; words, paths and patterns have less."""
NOT_TEXT = {".wav", ".mp3", ".png", ".ico", ".lock"}
EXAMPLES = {
    "callcenter/config/settings.py",  # the simulator's own account, no secret of anybody
    "deploy/trial.env.example",  # for a trial on one machine, with passwords that say so
    "tests/unit/test_carrier_signature.py",  # the carrier's published test vectors
    "tests/unit/test_simulator_signing.py",
    "tests/conventions/test_secrets.py",
}
UNSAFE = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "jsonpickle", "marshal", "shelve", "joblib"}


def entropy(text: str) -> float:
    """Bits for each character."""
    return -sum(n / len(text) * math.log2(n / len(text)) for n in Counter(text).values())


def looks_secret(text: str) -> bool:
    """Whether it looks like a random token: letters of both cases and digits, in no order that can be seen."""
    kinds = sum(bool(re.search(kind, text)) for kind in ("[a-z]", "[A-Z]", "[0-9]"))
    return kinds == 3 and len(re.findall("[0-9]", text)) >= 3 and entropy(text) > ENTROPY_BITS


def secrets_in(text: str) -> list[str]:
    return [found[0] for found in KNOWN.finditer(text)] + [t for t in TOKEN.findall(text) if looks_secret(t)]


def test_no_tracked_file_holds_what_looks_like_a_secret() -> None:
    found = {
        name: secrets_in((ROOT / name).read_bytes().decode(errors="replace"))
        for name in tracked()
        if Path(name).suffix not in NOT_TEXT and name not in EXAMPLES
    }
    assert {name: [text[:8] for text in texts] for name, texts in found.items() if texts} == {}


@pytest.mark.parametrize(
    "secret",
    [
        "TOKEN = 'q7Zk2LxP9vRt4WmB8nYc1HsDf6JgUe3A'",
        "AWS_ACCESS_KEY_ID=AKIA" + "IOSFODNN7EXAMPLX",
        "postgresql://app:hunter22@db.example.org/x",
        "TWILIO_API_KEY_SID=SK" + "3f" * 16,
        "-----BEGIN RSA " + "PRIVATE KEY-----",
    ],
)
def test_the_scanner_finds_a_planted_secret(secret: str) -> None:
    assert secrets_in(secret)


@pytest.mark.parametrize(
    "word", ["test_a_replay_of_anything_changes_nothing_2", "AC" + "1" * 32, "callcenter/models/migrations/versions"]
)
def test_the_scanner_knows_words_and_patterns(word: str) -> None:
    assert secrets_in(word) == []


def test_nothing_is_unpickled_and_no_job_is_stored() -> None:
    wrong = []
    for file in python_files(*PRODUCT):
        nodes = ast.walk(ast.parse(file.read_text()))
        for node in (node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom | ast.Call)):
            names = [alias.name for alias in node.names] if not isinstance(node, ast.Call) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            parts = {part for name in names for part in name.split(".")}
            if parts & (UNSAFE | {"PickleType", "jobstores"}):
                wrong.append(f"{name_of(file)}:{node.lineno}")
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("eval", "exec", "compile", "yaml.load"):
                wrong.append(f"{name_of(file)}:{node.lineno}")
    assert wrong == []
