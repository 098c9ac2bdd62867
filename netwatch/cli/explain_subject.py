"""``netwatch explain --subject`` and ``--packets``: the page for the person concerned, and the
packets of an incident as scapy prints them."""

from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

from netwatch.config import Config
from netwatch.core.errors import NetwatchError
from netwatch.explain.steps import Explanation
from netwatch.explain.subject import CATALOGUES, Notice, subject_page
from netwatch.language.language import language
from netwatch.rules.bans import load_pack, pack_ids


def subject_lines(incident: Explanation, config: Config, code: str) -> Iterator[str]:
    """The page for the person concerned, in the language `code`."""
    told, kept = config.data_protection, config.retention
    notice = Notice(
        told.controller if told else "",
        told.contact if told else "",
        told.supervisor if told else "",
        kept.incidents if kept else None,
        kept.evidence if kept else None,
    )
    zone = ZoneInfo(_timezone(incident.ban.id, config))
    return subject_page(incident, notice, zone, language(code, CATALOGUES))


def _timezone(ban_id: str, config: Config) -> str:
    """The time zone of a ban of the configuration or of a shipped one; that of another is not
    known."""
    for ban in config.policy.bans:
        if ban.id == ban_id:
            return ban.timezone
    if ban_id in pack_ids():
        return load_pack(ban_id, config.catalog).ban.timezone
    return "UTC"


def packet_lines(incident: Explanation, capture: str | None) -> Iterator[str]:
    """The packets that prove an incident: those of its evidence capture, which may be `capture`,
    else those that its evidence names in the captures that were scanned. Raises `NetwatchError`
    where there are neither."""
    from netwatch.verify.evidence_file import read_evidence_file
    from netwatch.verify.pieces import claims_of
    from netwatch.verify.show import Named, capture_lines, evidence_lines

    proof = incident.evidence_file or capture
    if proof:
        path = Path(proof)
        try:
            file = read_evidence_file(path)
            claims = claims_of(path.name, file)
        except NetwatchError as error:
            raise NetwatchError(f"{path}: {error}") from None
        yield str(path)
        yield from evidence_lines(file, claims, incident.id)
        return
    by_source: dict[str, list[Named]] = {}
    for each in incident.contacts:
        if not each.log:
            place = each.packet.source, each.packet.number
            by_source.setdefault(place[0], []).append(Named(each.evidence, each.name, *place))
    found = [source for source in by_source if Path(source).is_file()]
    if not found:
        sources = ", ".join(by_source) or "logs"
        raise NetwatchError(
            f"incident {incident.id}: expected an evidence capture (scan --evidence) or the"
            f" captures that were read; there is none, and no file {sources}"
        )
    for source in found:
        yield source
        yield from capture_lines(Path(source), by_source[source])
