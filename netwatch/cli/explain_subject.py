"""``netwatch explain --subject`` and ``--packets``: the page for the person concerned, and the
packets of an incident as scapy prints them."""

from collections.abc import Iterator
from pathlib import Path

from netwatch.config import Config
from netwatch.core.errors import NetwatchError
from netwatch.explain.steps import Explanation
from netwatch.explain.subject import CATALOGUES, subject_page
from netwatch.explain.subject_notice import notice_of, with_words, zone_of_ban
from netwatch.language.language import language


def subject_lines(incident: Explanation, config: Config, code: str) -> Iterator[str]:
    """The page for the person concerned, in the language `code`."""
    zone = zone_of_ban(incident.ban.id, config)
    told = with_words(incident, config, code)
    return subject_page(told, notice_of(config), zone, language(code, CATALOGUES))


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
