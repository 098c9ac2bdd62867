"""The sections ``bans`` and ``exemptions`` of netwatch.yaml."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path

from netwatch.core.addresses import ip_text, mac_text, parse_ip, parse_mac
from netwatch.core.errors import ConfigError
from netwatch.core.file_keys import key, read_section
from netwatch.core.user_yaml import Fields, describe, did_you_mean
from netwatch.core.value_kinds import DAY, TEXT, with_lines
from netwatch.core.verdict import Ban, Exemption
from netwatch.inventory.devices import Devices
from netwatch.inventory.networks import Scope
from netwatch.language.sentences import sentence
from netwatch.rules.ban_keys import check_days
from netwatch.rules.bans import DEFAULT_BAN, load_pack, read_ban
from netwatch.rules.catalog import Catalog


def read_bans(
    fields: Fields, catalog: Catalog, scopes: list[Scope], notes: list[str]
) -> tuple[list[Ban], set[str]]:
    """The bans without mistakes, and the ids of all bans that are written, so that an exemption
    from a ban with a mistake is not a mistake of its own."""
    if not fields.has("bans"):
        notes.append(sentence("note-no-bans", ban=DEFAULT_BAN))
        try:
            return [load_pack(DEFAULT_BAN, catalog).ban], {DEFAULT_BAN}
        except ConfigError as error:
            fields.problems.found.extend(error.problems)
            return [], {DEFAULT_BAN}
    names = {scope.network.name for scope in scopes}
    lines: dict[str, int] = {}

    def build(entry: Fields) -> Ban | None:
        ban = read_ban(entry, catalog)
        written = entry.text("pack" if entry.has("pack") else "id")
        if written in lines:
            entry.add_problem(None, f"duplicate ban '{written}' (first on line {lines[written]})")
        elif written:
            lines[written] = entry.line_of()
        for line, name in entry.texts("networks"):
            if name not in names:
                expected = "the name of a network of this configuration"
                found = f"{describe(name)}{did_you_mean(name, names)}"
                message = f"'networks': expected {expected}, found {found}"
                entry.problems.add(entry.file, line, message)
        return ban

    bans = fields.build_each("bans", build, "a ban")
    if not fields.mapping["bans"]:
        notes.append(sentence("note-empty-bans"))
    return bans, set(lines)


@dataclass(slots=True, eq=False, repr=False)
class ExemptionKeys:
    """The keys of an entry of ``exemptions``."""

    ban: str = key(
        TEXT,
        "the ban from which the device is exempt; must be in `bans`",
        words="id",
        required="the id of a ban of this configuration",
    )
    device: str = key(
        TEXT,
        "an id of the inventory, an IP address or a MAC address",
        required="an id of the inventory, an IP or a MAC address",
    )
    apps: tuple[tuple[int, str], ...] = key(
        with_lines(),
        "app ids, `vendor:…` and `category:…`",
        shown="all apps of the ban",
    )
    from_: date | None = key(
        DAY, "first day, `YYYY-MM-DD`, in the time zone of the ban", shown="open"
    )
    until: date | None = key(
        DAY, "last day, `YYYY-MM-DD`, in the time zone of the ban", shown="open"
    )
    reason: str = key(TEXT, "shown in alerts", shown="empty")
    approved_by: str = key(TEXT, "shown in alerts", shown="empty")


def read_exemptions(
    fields: Fields, catalog: Catalog, ban_ids: set[str], devices: Devices, notes: list[str]
) -> list[Exemption]:
    """The exemptions without mistakes."""

    def build(entry: Fields) -> Exemption | None:
        found = read_section(ExemptionKeys, entry, Path())
        ban, start, end = found.ban, found.from_, found.until
        apps = catalog.resolve_apps([*found.apps], entry.file, entry.problems)
        if ban and ban not in ban_ids:
            expected = "the id of a ban of this configuration"
            hint = f"{describe(ban)}{did_you_mean(ban, ban_ids)}"
            entry.add_problem("ban", f"'ban': expected {expected}, found {hint}")
        check_days(entry, start, end)
        if not ban or not found.device:
            return None
        device = _normalise_device(found.device, devices, notes)
        return Exemption(ban, device, start, end, found.reason, found.approved_by, apps)

    return fields.build_each("exemptions", build, "an exemption")


def _normalise_device(device: str, devices: Devices, notes: list[str]) -> str:
    """A device as verdicts compare it: an id of the inventory as it is, an address in its
    canonical form. Anything else is noted, because it never applies."""
    known = devices.find(device)
    if known and known.id == device:
        return device
    ip, mac = parse_ip(device), parse_mac(device)
    if ip:
        return ip_text(ip)
    if mac:
        return mac_text(mac)
    ids = (entry.id for entry in devices.entries)
    notes.append(sentence("note-no-device", device=device) + did_you_mean(device, ids))
    return device
