"""The sections ``devices``, ``bans`` and ``exemptions`` of netwatch.yaml: the known devices, and
what is forbidden to them."""

from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from netwatch.config.sections import LIST
from netwatch.core.addresses import ip_text, mac_text, parse_ip, parse_mac
from netwatch.core.errors import ConfigError
from netwatch.core.file_keys import Key, key, mappings, read_section
from netwatch.core.message import LEARNING_SOURCES
from netwatch.core.period import UTC_ZONE
from netwatch.core.user_yaml import Fields, describe, did_you_mean
from netwatch.core.value_kinds import DAY, NANOSECONDS, TEXT, TIMEZONE, with_lines, words_of
from netwatch.core.verdict import Ban, Exemption
from netwatch.inventory.devices import Devices
from netwatch.inventory.entry_table import EntryTable
from netwatch.inventory.inventory_columns import HEADERS
from netwatch.inventory.inventory_file import read_inventory
from netwatch.inventory.lease_table import LEASE_LIMIT, LeaseTable
from netwatch.inventory.networks import Scope
from netwatch.language.sentences import sentence
from netwatch.rules.bans import DEFAULT_BAN, load_pack, read_ban
from netwatch.rules.catalog import Catalog
from netwatch.rules.keys import check_days

# Imported on use, because few configurations need it.
if TYPE_CHECKING:
    from netwatch.inventory.lease_files import LeaseFile
    from netwatch.refresh.options import RefreshOptions, Source


def _read_sources(entry: Fields, declared: Key, base: Path) -> "tuple[Source, ...] | None":
    if entry.value(declared.name) is None:
        return None
    from netwatch.refresh.options import read_sources

    return read_sources(entry, base)


def _read_lease_files(entry: Fields, declared: Key, base: Path) -> "tuple[LeaseFile, ...] | None":
    if entry.value(declared.name) is None:
        return None
    from netwatch.inventory.lease_files import LeaseFile

    files: tuple[LeaseFile, ...] = mappings(LeaseFile, "a lease file").read(entry, declared, base)
    return tuple(file for file in files if file.path is not None)


@dataclass(slots=True, eq=False, repr=False)
class DeviceKeys:
    """The keys of ``devices``."""

    inventory: str = key(
        TEXT,
        "a CSV file of devices, or a folder of dated ones: `devices-2023-03-01.csv` is valid from"
        " that day until the day of the next one",
        words="path",
    )
    timezone: str = key(
        TIMEZONE, "time zone of the days in the inventory and in the names of dated files", UTC_ZONE
    )
    columns: dict[str, str] = key(
        HEADERS, "what its columns are called", {}, shown="their own names"
    )
    sources: "tuple[Source, ...]" = key(
        replace(LIST, read=_read_sources, empty=()),
        "where `netwatch inventory refresh` reads devices, to write `inventory`; the first one "
        "takes precedence",
    )
    keep: int | None = key(
        NANOSECONDS, "a refresh leaves out rows that ended longer ago", shown="for ever"
    )
    leases: "tuple[LeaseFile, ...]" = key(
        replace(LIST, read=_read_lease_files, empty=()), "lease files of DHCP servers"
    )
    learn: tuple[str, ...] = key(
        words_of(LEARNING_SOURCES),
        "protocols from which devices are learned: `dhcp` (DHCPv4 and DHCPv6), `mdns`, `arp` "
        "(ARP and IPv6 neighbor discovery)",
    )


def devices_section(fields: Fields, base: Path) -> tuple[Devices, tuple[str, ...]]:
    """The inventory, and the protocols from which devices are learned."""
    section = fields.nested("devices", "devices")
    if section is None:
        return Devices(), ()
    found = read_section(DeviceKeys, section, base)
    _refresh(found, section, base)
    if section.has("columns") and not section.has("inventory"):
        section.add_problem("columns", "'columns': expected 'inventory' next to it, found none")
    return Devices(_inventory(found, section, base), _leases(found, section)), found.learn


def _inventory(found: DeviceKeys, section: Fields, base: Path) -> EntryTable:
    """The rows of the inventory file, or of the dated files of the inventory folder."""
    if not found.inventory:
        return EntryTable()
    place = base / found.inventory
    if section.has("sources") and not place.exists():
        section.add_problem(
            "inventory",
            f"'inventory': there is no {place} yet: 'netwatch inventory refresh' writes it",
        )
        return EntryTable()
    if not place.is_dir():
        return read_inventory(place, section.problems, found.columns, found.timezone)
    from netwatch.inventory.inventory_file import read_inventory_folder

    return read_inventory_folder(place, section.problems, found.columns, found.timezone)


def _leases(found: DeviceKeys, section: Fields) -> LeaseTable:
    """The leases of all lease files."""
    if not found.leases:
        return LeaseTable()
    from netwatch.inventory.lease_files import read_leases

    leases = [lease for file in found.leases for lease in read_leases(file, section.problems)]
    if len(leases) > LEASE_LIMIT:
        message = f"'leases': expected at most {LEASE_LIMIT:,} leases together, found more"
        section.add_problem("leases", message)
    return LeaseTable(leases[:LEASE_LIMIT])


def read_refresh(fields: Fields, base: Path) -> "RefreshOptions | None":
    """The sources from which the inventory is refreshed; None if it is not."""
    section = fields.nested("devices", "devices")
    if section is None:
        return None
    return _refresh(read_section(DeviceKeys, section, base), section, base)


def _refresh(found: DeviceKeys, section: Fields, base: Path) -> "RefreshOptions | None":
    if not (section.has("sources") or section.has("keep")):
        return None
    from netwatch.refresh.options import RefreshOptions, check_refresh

    place = base / found.inventory
    is_folder = found.inventory.endswith("/") or place.is_dir()
    options = RefreshOptions(found.sources, place, is_folder, found.timezone, found.keep)
    return check_refresh(options, section)


def read_bans(
    fields: Fields, catalog: Catalog, scopes: list[Scope], notes: list[str]
) -> tuple[list[Ban], set[str]]:
    """The bans without mistakes, and the ids of all written bans, so that an exemption from a ban
    with a mistake is not a mistake of its own."""
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
    """A device in the form that verdicts compare: an inventory id unchanged, an address in its
    canonical form. Anything else is noted, because it would never apply."""
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
