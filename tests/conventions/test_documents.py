"""Documents say what is true: every setting is explained, every path and link leads somewhere."""

import re
from pathlib import Path

import pytest
import yaml

from callcenter import config
from tests.conventions.project import OTHER_CODE, PRODUCT, ROOT, name_of, python_files

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
FOLDERS = "|".join([*PRODUCT, *OTHER_CODE, "docs"])


def test_every_environment_variable_is_documented() -> None:
    assert {"CALLCENTER_CONFIG", *config.VARIABLES} - _explained("[A-Z0-9_]+") == set()


def test_every_setting_of_the_voice_file_is_documented() -> None:
    assert set(config.VoiceSettings.model_fields) - _explained("[a-z0-9_]+") == set()


def test_the_voice_file_that_comes_along_states_the_defaults() -> None:
    stated = yaml.safe_load((ROOT / "twilio_config.yaml").read_text())
    assert config.VoiceSettings.model_validate(stated) == config.VoiceSettings()
    assert set(config.VoiceSettings.model_fields) - set(stated) == {"prompts"}


def test_every_documented_variable_exists() -> None:
    assert _explained("(?:CALLCENTER|TWILIO)_[A-Z0-9_]+") - {"CALLCENTER_CONFIG", *config.VARIABLES} == set()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_of_a_page_leads_to_a_file(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text())
    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_path_a_page_names_exists(page: Path) -> None:
    paths = re.findall(rf"`((?:{FOLDERS})/[\w./-]*)`", page.read_text())
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_every_name_on_the_way_of_a_call_is_defined_in_its_file() -> None:
    rows = re.findall(r"^\| `(\S+\.py)` \| (.+?) \|", (ROOT / "docs" / "one-call.md").read_text(), flags=re.MULTILINE)
    named = [(file, name) for file, names in rows for name in re.findall(r"`(\w+)`", names)]
    assert [(file, name) for file, name in named if not re.search(rf"^(def|class) {name}\b", _text(file), re.M)] == []


def test_every_test_that_proves_a_promise_exists() -> None:
    page = (ROOT / "docs" / "reliability.md").read_text()
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", page)
    missing = [(file, test) for file, test in named if not re.search(rf"def {test}\b|class {test}\b", _text(file))]
    assert missing == []


def test_code_that_points_to_a_document_points_to_one_that_exists() -> None:
    pointers = {
        (name_of(file), document)
        for file in python_files(*PRODUCT, *OTHER_CODE)
        for document in re.findall(r"docs/[\w/-]+\.md", file.read_text())
    }
    assert {pointer for pointer in pointers if not (ROOT / pointer[1]).exists()} == set()


def test_every_rule_that_is_cited_by_its_number_is_explained() -> None:
    explained = set(re.findall(r"^\| ([PLRFS]\d+) \|", (ROOT / "docs" / "rules.md").read_text(), flags=re.MULTILINE))
    cited = {
        (name_of(file), rule)
        for file in python_files(*PRODUCT, *OTHER_CODE)
        for citation in re.findall(r"[(,;] ?((?:[PRFS]\d{1,2}(?:, | and )?)+)[),:;]", file.read_text())
        for rule in re.findall(r"[PRFS]\d+", citation)
    }
    assert {citation for citation in cited if citation[1] not in explained} == set()


def _text(name: str) -> str:
    """The text of a file of the project; nothing when there is none."""
    file = ROOT / name
    return file.read_text() if file.exists() else ""


def _explained(name: str) -> set[str]:
    """The names of a form that have a row in a table of docs/configuration.md."""
    return set(re.findall(rf"^\| `({name})`", (ROOT / "docs" / "configuration.md").read_text(), flags=re.MULTILINE))
