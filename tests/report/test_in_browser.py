"""The report in a browser: it fits, loads nothing, and axe-core finds nothing to complain of."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from report.stores import make_office
from report.test_page import fill
from support.browsers import LOOKS, barriers

from netwatch.charts.render import Renderer
from netwatch.report.collect import Wanted, collect
from netwatch.report.page import html, page, report_language

pytestmark = pytest.mark.needs("chromium")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, renderer: Renderer) -> str:
    folder = tmp_path_factory.mktemp("office")
    office = make_office(folder)
    # As much of everything as there is; how long tables are cut needs no browser.
    fill(office, devices=20)
    report = collect(office.catalogue, office.config, Wanted(date(2023, 6, 1), date(2023, 6, 30)))
    office.catalogue.close()
    text = html(page(report, report_language("de"), renderer, pytest.fail))
    path = folder / "report.html"
    path.write_text(text, encoding="utf-8")
    return path.as_uri()


@pytest.mark.parametrize(("scheme", "width"), LOOKS)
def test_a_report_in_a_browser(browser: Any, address: str, width: int, scheme: str) -> None:
    # axe is a script, which the page's own policy would not let run.
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, bypass_csp=True
    )
    shown = context.new_page()
    said: list[str] = []
    asked: list[str] = []
    shown.on("console", lambda message: said.append(message.text))
    shown.on("request", lambda request: asked.append(request.url))
    shown.goto(address)
    assert not barriers(shown)
    visible = shown.locator("svg.chart:visible")
    assert visible.count() == 4
    assert (said, asked) == ([], [address])
    context.close()


def test_the_policy_of_the_page_lets_no_script_run(
    browser: Any, address: str, tmp_path: Path
) -> None:
    text = Path(address.removeprefix("file://")).read_text(encoding="utf-8")
    changed = tmp_path / "changed.html"
    changed.write_text(
        text.replace("</body>", "<script>document.title = 'ran'</script></body>"), encoding="utf-8"
    )
    shown = browser.new_page()
    shown.goto(changed.as_uri())
    assert shown.title() != "ran"
    shown.close()
