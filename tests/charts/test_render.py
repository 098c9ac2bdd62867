"""The SVG of pictures: fit for a strict page, in the language that was asked for, and rendered by a
worker that may die."""

import re
from collections.abc import Iterator
from xml.etree import ElementTree

import pytest
from charts.pictures import all_pictures, weekly

from netwatch.charts import FOLDER, render
from netwatch.charts import picture as theme
from netwatch.charts.picture import Picture
from netwatch.charts.render import Renderer, for_page
from netwatch.charts.weeks import weeks_picture
from netwatch.core.errors import NetwatchError
from netwatch.language.language import language

ENGLISH = language("en", FOLDER)
ELEMENTS = {
    "svg",
    "g",
    "path",
    "pattern",
    "line",
    "text",
    "title",
    "desc",
    "defs",
    "clipPath",
    "rect",
}
PATTERN = re.compile(r'(?:fill|stroke)="(#[0-9a-f]{6})"')


@pytest.fixture(scope="module")
def renderer() -> Iterator[Renderer]:
    with Renderer() as each:
        yield each


@pytest.fixture(scope="module")
def svgs(renderer: Renderer) -> dict[str, tuple[Picture, str]]:
    return {
        f"{picture.name} {size}": (picture, renderer.svg(picture, size, ENGLISH, "x-"))
        for picture in all_pictures(ENGLISH)
        for size in ("wide", "narrow")
    }


def test_no_picture_has_what_a_strict_page_forbids(svgs: dict[str, tuple[Picture, str]]) -> None:
    for name, (_, text) in svgs.items():
        root = ElementTree.fromstring(text)
        for element in root.iter():
            tag = element.tag.rpartition("}")[2]
            assert tag in ELEMENTS, name
            for attribute, value in element.attrib.items():
                assert attribute != "style", name
                assert not attribute.startswith("on"), name
                assert "http" not in value, name
                assert "javascript" not in value, name


def test_every_picture_has_a_name_a_description_and_titles(
    svgs: dict[str, tuple[Picture, str]],
) -> None:
    for picture, text in svgs.values():
        root = ElementTree.fromstring(text)
        assert root.get("role") == "img"
        assert root.get("aria-label") == picture.title
        described = root.find(f".//*[@id='{root.get('aria-describedby')}']")
        assert described is not None
        assert described.text == picture.summary
        assert sum(each.tag.endswith("}title") for each in root.iter()) >= 2
        assert "aria-roledescription" not in text  # is English


def test_colours_are_those_that_the_dark_theme_replaces(
    svgs: dict[str, tuple[Picture, str]],
) -> None:
    used = {colour for _, text in svgs.values() for colour in PATTERN.findall(text)}
    assert used <= set(theme.DARK)
    rules = theme.dark_rules("svg.chart")
    assert all(f'[fill="{colour}"]' in rules for colour in used)


def test_names_of_senders_are_text(svgs: dict[str, tuple[Picture, str]]) -> None:
    assert all("<script" not in text for _, text in svgs.values())
    assert "&lt;script&gt;" in svgs["devices wide"][1]


def test_ids_differ_between_pictures(svgs: dict[str, tuple[Picture, str]]) -> None:
    ids = [each for _, text in svgs.values() for each in re.findall(r'\bid="([^"]+)"', text)]
    assert len(ids) == len(set(ids))
    for _, text in svgs.values():
        for reference in re.findall(r"url\(#([^)]+)\)", text):
            assert f'id="{reference}"' in text


def test_widths_fit_a_page_and_a_telephone(svgs: dict[str, tuple[Picture, str]]) -> None:
    for name, (_, text) in svgs.items():
        width = float(ElementTree.fromstring(text).attrib["width"])
        assert width <= (335 if name.endswith("narrow") else 760), name


def test_months_are_in_the_language_of_the_picture(renderer: Renderer) -> None:
    found = {}
    for code in ("en", "nl", "de", "fr"):
        used = language(code, FOLDER)
        found[code] = renderer.svg(weeks_picture(weekly(30), used), "wide", used)
    assert "May 2023" in found["en"]
    assert "mei 2023" in found["nl"]
    assert "Mai 2023" in found["de"]
    assert "juil. 2023" in found["fr"]


def test_a_worker_that_died_is_replaced(renderer: Renderer) -> None:
    picture = weeks_picture(weekly(4), ENGLISH)
    renderer.svg(picture, "wide", ENGLISH)
    assert renderer._process is not None
    renderer._process.kill()
    renderer._process.wait()
    known = renderer.svg(picture, "wide", ENGLISH)
    assert renderer._process.poll() is not None  # it was remembered
    assert renderer.svg(weeks_picture(weekly(5), ENGLISH), "wide", ENGLISH) != known
    assert renderer._process.poll() is None


def test_a_worker_that_does_not_answer_in_time_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(render, "TIME_LIMIT", 0.05)
    with Renderer() as slow:
        with pytest.raises(NetwatchError, match="no answer within"):
            slow.warm()
        assert slow._process is None


def test_a_specification_may_not_load_anything(renderer: Renderer) -> None:
    loading = {"data": {"url": "http://127.0.0.1:9/data.json"}, "mark": "point"}
    picture = Picture(
        "loading", "t", "s", {"wide": loading}, weeks_picture(weekly(4), ENGLISH).table
    )
    with pytest.raises(NetwatchError, match="could not be rendered"):
        renderer.svg(picture, "wide", ENGLISH)


def test_scripts_and_styles_of_an_svg_are_removed() -> None:
    text = (
        '<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script>'
        '<path style="fill:red" onclick="alert(1)" role="graphics-symbol"'
        ' aria-label="a&lt;b" d=""/></svg>'
    )
    made = for_page(text, "n", 'title "quoted"', "summary")
    assert "<script" not in made
    assert "style=" not in made
    assert "onclick" not in made
    assert "<title>a&lt;b</title>" in made


def test_no_mark_is_described_by_the_names_of_fields(
    svgs: dict[str, tuple[Picture, str]],
) -> None:
    """The renderer describes a mark without a description by its fields, in English."""
    for name, (_, text) in svgs.items():
        titles = re.findall(r"<title>([^<]*)</title>", text)
        found = [each for each in titles if re.match(r"(from|label|device|network): ", each)]
        assert found == [], name
