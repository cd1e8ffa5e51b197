"""Reads a TwiML document, with Twilio's error codes for what is wrong with it."""

import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field

from callcenter.simulator.twiml_rules import ATTRIBUTES, CHILDREN, NO_EFFECT, NOT_PLAYED, VERBS

LONGEST = 64 * 1024


class TwimlError(Exception):
    """The document cannot be executed. `code` is Twilio's error code."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Element:
    """A verb or noun with its valid attributes, its text and its allowed children."""

    name: str
    attributes: dict[str, str]
    text: str = ""
    children: tuple["Element", ...] = ()

    def get(self, name: str, default: str = "") -> str:
        """An attribute's text."""
        return self.attributes.get(name, default)

    def number(self, name: str, default: int) -> int:
        """An attribute that is a whole number."""
        return int(self.attributes.get(name, default))

    def flag(self, name: str, default: bool) -> bool:
        """An attribute that is true or false."""
        return self.attributes[name] == "true" if name in self.attributes else default


@dataclass
class Document:
    """The verbs to run, and what Twilio would complain about as (code, message)."""

    verbs: tuple[Element, ...]
    warnings: list[tuple[int, str]] = field(default_factory=list)


def parse(body: bytes) -> Document:
    """Read a document. Unknown verbs, attributes and values are left out with a warning 12200 (13320 inside Gather).

    Raises TwimlError: 11750 too large, 11770 empty, 12100 not XML, 12102 not a Response, 12400 for verbs that
    exist at Twilio but are not played by this simulator.
    """
    if len(body) > LONGEST:
        raise TwimlError(11750, f"response body of {len(body)} bytes is larger than 64 kB")
    if not body.strip():
        raise TwimlError(11770, "empty response body")
    if body.startswith(b"\xef\xbb\xbf"):
        raise TwimlError(12100, "byte order mark before the document")
    try:
        root = ElementTree.fromstring(body)  # noqa: S314 - comes from the application under test, size is bounded
    except ElementTree.ParseError as error:
        raise TwimlError(12100, f"document parse failure: {error}") from error
    if root.tag != "Response":
        raise TwimlError(12102, f"root element is <{root.tag}>, not <Response>")
    document = Document(())
    document.verbs = _elements(root, "Response", VERBS, document.warnings)
    return document


def _elements(
    parent: ElementTree.Element, parent_name: str, allowed: frozenset[str], warnings: list[tuple[int, str]]
) -> tuple[Element, ...]:
    found = []
    for node in parent:
        if node.tag in NOT_PLAYED:
            raise TwimlError(12400, f"<{node.tag}> in <{parent_name}> is not played by the simulator")
        if node.tag not in allowed:
            code = 13320 if parent_name == "Gather" else 12200
            warnings.append((code, f"<{node.tag}> is not allowed in <{parent_name}>"))
            continue
        children = _elements(node, node.tag, CHILDREN.get(node.tag, frozenset()), warnings)
        found.append(Element(node.tag, _attributes(node, warnings), (node.text or "").strip(), children))
    return tuple(found)


def _attributes(node: ElementTree.Element, warnings: list[tuple[int, str]]) -> dict[str, str]:
    rules = ATTRIBUTES[node.tag]
    kept = {}
    for name, value in node.attrib.items():
        if name not in rules:
            warnings.append((12200, f"<{node.tag}> has no attribute {name}"))
        elif not rules[name].fullmatch(value):
            warnings.append((12200, f"<{node.tag} {name}> does not take the value {value!r}"))
        else:
            kept[name] = value
            if (node.tag, name) in NO_EFFECT:
                warnings.append((12400, f"<{node.tag} {name}> has no effect in the simulator"))
    return kept
