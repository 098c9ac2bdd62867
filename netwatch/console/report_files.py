"""A report as a file to download: HTML, PDF/UA or JSON."""

from collections.abc import Callable

from netwatch.charts.render import Renderer
from netwatch.core.private_files import PrivateFolder
from netwatch.report import page as report_page
from netwatch.report import tables
from netwatch.report.pdf import write_pdf
from netwatch.report.record import report_json
from netwatch.report.values import Report


def report_file(
    report: Report, kind: str, code: str, renderer: Renderer, note: Callable[[str], None]
) -> bytes:
    """A report as ``html``, ``pdf`` or ``json``, in the language of a code. Of pictures that cannot
    be rendered only the table is there, and `note` takes the reason. Raises `NetwatchError`."""
    if kind == "json":
        return report_json(report).encode()
    made = report_page.page(report, report_page.report_language(code), renderer, note)
    html = report_page.html(made)
    if kind == "html":
        return html.encode()
    with PrivateFolder() as folder:
        path = folder / "report.pdf"
        write_pdf(html, tables.files(made.all_grids), path)
        return path.read_bytes()
