"""``netwatch policy``: what the configuration contains, and how it decides a contact.

Both commands take a time (``--time``), since bans and exemptions are in force only on some days.
All mistakes in a configuration go to standard error as ``file:line: expected ..., found ...``, with
exit status 2.
"""

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import get_args

from netwatch.cli.group import Group
from netwatch.cli.policy_check import check
from netwatch.cli.policy_explain import explain
from netwatch.core.message import Evidence

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_GROUP = """examples:
  netwatch policy check                 show what is in force now: networks, bans, exemptions
  netwatch policy explain --device 10.20.1.7 --name www.tiktok.com --time 2023-03-20T09:00Z
"""
_CHECK = """examples:
  netwatch policy check -c site.yaml
  netwatch policy check --time 2023-03-10 --format jsonl

exit status: 0 the configuration is valid; 2 it has mistakes, each shown as file:line: mistake
"""
_EXPLAIN = """examples:
  netwatch policy explain --device lab-07 --name www.tiktok.com --time 2023-03-20T09:00Z
  netwatch policy explain --device 10.30.0.9 --vlan 30 --mac 02:00:00:00:00:09 \\
      --name analytics.tiktok.com --evidence dns-query --time 2023-03-20T10:00+01:00
"""


def add(
    groups: "argparse._SubParsersAction[argparse.ArgumentParser]",
    parents: Sequence[argparse.ArgumentParser] = (),
) -> None:
    """Register the group; `parents` have the common options."""
    group = Group(
        groups,
        parents,
        "policy",
        help="check the configuration, and explain its verdicts",
        description="Check the configuration, and explain which verdict it gives to a contact.",
        epilog=_GROUP,
    )
    when = "a day, or a time like 2023-03-20T09:00+01:00; without an offset in UTC"
    checking = group.command(
        "check", check, "check the configuration, and show what is in force", _CHECK
    )
    checking.add_argument("--time", type=_time, metavar="T", help=f"{when} (default: now)")
    explaining = group.command(
        "explain", explain, "explain which verdict applies to a contact, and why", _EXPLAIN
    )
    explaining.add_argument(
        "--device", metavar="X", help="an id of the inventory at that time, or an IP address"
    )
    explaining.add_argument("--ip", metavar="A", help="the IP address of the device")
    explaining.add_argument(
        "--name", required=True, metavar="N", help="the name that the device looked up or contacted"
    )
    explaining.add_argument("--time", required=True, type=_time, metavar="T", help=when)
    explaining.add_argument(
        "--evidence",
        choices=get_args(Evidence),
        default="tls-sni",
        metavar="E",
        help=f"type of evidence: {', '.join(get_args(Evidence))} (default: tls-sni)",
    )
    explaining.add_argument("--vlan", type=int, metavar="V", help="the VLAN tag of the packet")
    explaining.add_argument(
        "--mac", metavar="M", help="the MAC address in the frame; alone: of the device"
    )


def _time(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"expected a time like 2023-03-20T09:00+01:00, found {text!r}"
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    if not 1970 <= moment.year < 2262:
        raise argparse.ArgumentTypeError(f"expected a year from 1970 to 2261, found {text!r}")
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000
