"""The Splunk app: fields and CIM tags from docs/siem, an event type, a search and a panel for each
kind of incident."""

from xml.sax.saxutils import escape

from netwatch import __version__
from siem_packages.archive import Files
from siem_packages.tables import KINDS, MEANING, shipped

APP = "netwatch"
"""The app's id, and the folder in the archive."""

_SOURCE = 'sourcetype="netwatch:alert"'
_USED = f"{_SOURCE} verdict=violation confidence IN (confirmed, probable) NOT outcome=blocked"
_APP_CONF = f"""[install]
is_configured = false
state = enabled

[package]
id = {APP}
check_for_updates = false

[ui]
is_visible = true
label = netwatch

[launcher]
author = netwatch
description = Alerts on bans on apps: fields, CIM tags, searches and a dashboard
version = {__version__}

[id]
name = {APP}
version = {__version__}
"""
_META = """[]
access = read : [ * ], write : [ admin, sc_admin ]
export = system
"""
_NAVIGATION = """<nav>
  <view name="netwatch" default="true"/>
  <view name="search"/>
</nav>
"""


def files() -> Files:
    """The app, by paths below its folder."""
    return {
        "README.md": shipped("splunk.md"),
        "default/app.conf": _APP_CONF,
        "default/props.conf": _props(),
        "default/transforms.conf": "[netwatch_kinds]\nfilename = netwatch_kinds.csv\n",
        "default/eventtypes.conf": shipped("splunk/eventtypes.conf") + _event_types(),
        "default/tags.conf": shipped("splunk/tags.conf"),
        "default/savedsearches.conf": _searches(),
        "default/data/ui/nav/default.xml": _NAVIGATION,
        "default/data/ui/views/netwatch.xml": _dashboard(),
        "lookups/netwatch_kinds.csv": _kinds(),
        "metadata/default.meta": _META,
    }


def _props() -> str:
    lookup = 'LOOKUP-kind = netwatch_kinds kind AS "kind.value" OUTPUT meaning AS kind_meaning\n'
    return shipped("splunk/props.conf") + lookup


def _kinds() -> str:
    return "kind,meaning\n" + "".join(f"{kind},{MEANING[kind]}\n" for kind in KINDS)


def _event_types() -> str:
    return "".join(f'\n[netwatch_{kind}]\nsearch = {_USED} "kind.value"={kind}\n' for kind in KINDS)


def _searches() -> str:
    """One search for each kind and one for blocked attempts. Each is off until somebody turns it
    on, and counts an incident once, however often its alert was sent."""
    asked = {f"netwatch: {MEANING[kind]}": f"eventtype=netwatch_{kind}" for kind in KINDS}
    asked["netwatch: attempts that a block stopped"] = (
        f"{_SOURCE} verdict=violation outcome=blocked"
    )
    return "\n".join(
        f"[{name}]\n"
        f"search = {query} | dedup id | table _time device.id app.name ban.id kind.value outcome\n"
        "dispatch.earliest_time = -24h@h\n"
        "dispatch.latest_time = now\n"
        "cron_schedule = 7 * * * *\n"
        "enableSched = 0\n"
        "disabled = 0\n"
        for name, query in asked.items()
    )


def _dashboard() -> str:
    numbers = [
        _panel("single", MEANING[kind].capitalize(), f"eventtype=netwatch_{kind}", "stats dc(id)")
        for kind in KINDS
    ]
    time = "timechart dc(id) by kind.value"
    charts = [_panel("chart", "Violations by kind", _USED, time)]
    tables = [
        _panel("table", title, _USED, f"stats dc(id) AS incidents by {field} | sort - incidents")
        for title, field in (("Apps", "app.name"), ("Devices", "device.id"), ("Bans", "ban.id"))
    ]
    rows = "".join(f"  <row>\n{''.join(row)}  </row>\n" for row in (numbers, charts, tables))
    return f'<dashboard version="1.1">\n  <label>netwatch</label>\n{rows}</dashboard>\n'


def _panel(kind: str, title: str, query: str, then: str) -> str:
    return (
        f"    <panel>\n      <{kind}>\n        <title>{escape(title)}</title>\n"
        f"        <search>\n          <query>{escape(f'{query} | {then}')}</query>\n"
        "          <earliest>-30d@d</earliest>\n          <latest>now</latest>\n"
        f"        </search>\n      </{kind}>\n    </panel>\n"
    )
