"""Makes the SVG of the renderer fit for a page.

Marks get titles for the pointer, the picture an accessible name; style attributes, scripts and
labels in English are removed, and ids differ from those of other pictures on the page.
"""

import re
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from netwatch.charts.theme import FONT_SIZE, HATCH, LINE, SHADE

SVG = "http://www.w3.org/2000/svg"
_XLINK = "http://www.w3.org/1999/xlink"
_TITLE = f"{{{SVG}}}title"
_DROPPED = ("style", "role", "aria-roledescription", "aria-label", "aria-hidden", "pointer-events")
_LONG_NUMBER = re.compile(r"-?\d+\.\d{3,}")
_REFERENCE = re.compile(r"url\(#([^)]+)\)")

ElementTree.register_namespace("", SVG)


def for_page(text: str, name: str, title: str, summary: str) -> str:
    """An SVG for a page. `name` begins its ids and must be unique on the page; `title` is its
    accessible name and `summary` describes it."""
    root = ElementTree.fromstring(text)
    _clean(root, name)
    _hatch(root, f"{name}-hatch")
    description = ElementTree.Element(f"{{{SVG}}}desc", {"id": f"{name}-description"})
    description.text = summary
    root.insert(0, description)
    # A title element of the whole picture would be its tooltip wherever no mark is.
    root.attrib |= {
        "class": "chart",
        "role": "img",
        "aria-label": title,
        "aria-describedby": f"{name}-description",
    }
    root.attrib.pop("version", None)
    return ElementTree.tostring(root, encoding="unicode")


def _clean(element: Element, name: str) -> None:
    """Remove what a page must not have or does not need, and make labels of marks titles."""
    for child in [*element]:
        if _is_needless(child):
            element.remove(child)
        else:
            _clean(child, name)
    if "font-size" in element.attrib:
        element.attrib["font-size"] = f"{FONT_SIZE}px"
    is_mark = element.get("role") == "graphics-symbol" and not len(element)
    label = element.get("aria-label")
    for attribute in [*element.attrib]:
        if attribute in _DROPPED or attribute.startswith(("on", f"{{{_XLINK}}}")):
            del element.attrib[attribute]
    if is_mark and label:
        title = ElementTree.SubElement(element, _TITLE)
        title.text = label
    for attribute, value in element.attrib.items():
        element.attrib[attribute] = _REFERENCE.sub(rf"url(#{name}-\1)", _rounded(value))
    if "id" in element.attrib:
        element.attrib["id"] = f"{name}-{element.attrib['id']}"


def _hatch(root: Element, name: str) -> None:
    """Hatch the marks that have the colour for that: the renderer has no patterns."""
    marks = [each for each in root.iter() if each.get("fill") == HATCH]
    if not marks:
        return
    for each in marks:
        each.set("fill", f"url(#{name})")
    size = {"width": "7", "height": "7"}
    pattern = ElementTree.Element(
        f"{{{SVG}}}pattern", {"id": name, "patternUnits": "userSpaceOnUse", **size}
    )
    ElementTree.SubElement(pattern, f"{{{SVG}}}path", {"d": "M0 0H7V7H0Z", "fill": SHADE})
    line = {"d": "M-1 8L8 -1M-1 1L1 -1M6 8L8 6", "stroke": LINE, "stroke-width": "0.6"}
    ElementTree.SubElement(pattern, f"{{{SVG}}}path", line)
    root.insert(0, pattern)


def _is_needless(element: Element) -> bool:
    tag = element.tag.removeprefix(f"{{{SVG}}}")
    if tag == "script" or element.get("display") == "none":
        return True
    if tag == "text":
        return element.get("opacity") == "0"
    return tag == "path" and element.get("class") in ("foreground", "background")


def _rounded(value: str) -> str:
    return _LONG_NUMBER.sub(lambda match: f"{float(match[0]):.2f}".rstrip("0").rstrip("."), value)
