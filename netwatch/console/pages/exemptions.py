"""The registered exemptions: used, unused, and contacts after their end."""

from netwatch.console.answers import Answer, Page
from netwatch.console.people import DEVICE
from netwatch.console.period_reports import being_made, days_of
from netwatch.console.view import View
from netwatch.report import page as report_page
from netwatch.report import tables
from netwatch.report.collect import Wanted


def show(view: View) -> Answer:
    """The exemptions of each ban in a period, with the names of the register for a role that sees
    devices."""
    first, last = days_of(view)
    wanted = Wanted(first, last, names_devices=view.role in DEVICE.roles)
    report = view.console.reports.shown(wanted)
    if report is None:
        return being_made(view, wanted)
    used = report_page.report_language(view.language.code)
    grids = [(ban.id, tables.exemptions(ban, used)) for ban in report.bans]
    filled = [(ban, grid) for ban, grid in grids if grid.table.rows]
    return Page("exemptions", {"first": first, "last": last, "grids": filled, "made": report.made})
