"""The style sheet: everybody can read it, by day and by night (WCAG 2.2 AA)."""

import itertools
import re

import pytest

from tests.web.test_serving import ROOT

SHEET = (ROOT / "callcenter" / "web" / "static" / "style.css").read_text()
TEXTS = ("text", "quiet", "accent", "ok", "degraded", "failing")
GROUNDS = ("ground", "panel")


def _luminance(colour: str) -> float:
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, other: str) -> float:
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_every_ground(scheme: str) -> None:
    by_day, by_night = (
        dict(re.findall(r"--(\w+): (#\w{6});", block)) for block in re.findall(r":root \{(.*?)\}", SHEET, re.S)
    )
    colours = by_day if scheme == "light" else by_day | by_night
    pairs = [*itertools.product(TEXTS, GROUNDS), ("text", "code")]
    weak = {pair: _contrast(colours[pair[0]], colours[pair[1]]) for pair in pairs}
    assert {pair: ratio for pair, ratio in weak.items() if ratio < 4.5} == {}
