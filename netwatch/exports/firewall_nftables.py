"""nftables: addresses of the apps' servers, dropped where packets are forwarded.

A packet filter sees no names. The addresses are those that servers of the apps had in captures, a
store or a database of autonomous systems; they change within days, and a CDN gives them to others.
An address that another name had in the same captures is left out before it comes here.
"""

import re
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network
from typing import get_args

from netwatch.core.message import HANDSHAKES, Evidence
from netwatch.exports.blocklist import Blocklist
from netwatch.exports.export_format import Export, ExportFormat
from netwatch.exports.heading import comments, joined
from netwatch.rules.signature import Rule

_UNSAFE = re.compile("[^a-z0-9]+")
_ELEMENT = re.compile(r"^\t\t\t([0-9a-f.:/]+),", re.MULTILINE)


def _write(export: Export, _: tuple[Rule, ...]) -> str:
    table = f"inet netwatch_{_UNSAFE.sub('_', export.title.lower())}"
    lines = [
        *comments(export, NFTABLES, "nft -f FILE puts this table in the place of an earlier one"),
        *sorted({f"# {each.text} {each.origin}" for each in export.addresses}),
        f"table {table}",
        f"delete table {table}",
        f"table {table} {{",
    ]
    networks = [ip_network(each.text) for each in export.addresses]
    # Apart for each version, because networks of both cannot be compared.
    v4 = collapse_addresses(each for each in networks if isinstance(each, IPv4Network))
    v6 = collapse_addresses(each for each in networks if isinstance(each, IPv6Network))
    lines += [*_set(4, v4), *_set(6, v6)]
    lines += [
        "\tchain forward {",
        "\t\ttype filter hook forward priority filter; policy accept;",
        "\t\tip daddr @servers4 counter drop",
        "\t\tip6 daddr @servers6 counter drop",
        "\t}",
        "}",
    ]
    return joined(lines)


def _set(version: int, networks: Iterable[IPv4Network | IPv6Network]) -> list[str]:
    head = [f"\tset servers{version} {{", f"\t\ttype ipv{version}_addr", "\t\tflags interval"]
    elements = [f"\t\t\t{_element(each)}," for each in networks]
    return [*head, *(["\t\telements = {", *elements, "\t\t}"] if elements else []), "\t}"]


def _element(network: IPv4Network | IPv6Network) -> str:
    return str(network).removesuffix(f"/{network.max_prefixlen}")


def _read(text: str) -> Blocklist:
    networks = [ip_network(each) for each in _ELEMENT.findall(text)]
    spans = [(each.network_address.packed, each.broadcast_address.packed) for each in networks]
    return Blocklist(spans=tuple(spans))


NFTABLES = ExportFormat(
    "nftables",
    _write,
    _read,
    {"host": "none", "suffix": "none", "glob": "none"},
    frozenset(each for each in get_args(Evidence) if each in HANDSHAKES),
    "addresses change within days, and others may have them: use names wherever you can",
    comment="#",
    needs_addresses=True,
)
