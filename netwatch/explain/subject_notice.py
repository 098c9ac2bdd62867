"""What a configuration says for the page of the person concerned: whom to ask, how long data are
kept, in which time zone the ban counts its days, and its words in the language of the page."""

from dataclasses import replace
from zoneinfo import ZoneInfo

from netwatch.config import Config
from netwatch.core.verdict import Ban
from netwatch.explain.steps import Explanation, Period
from netwatch.explain.subject import Notice
from netwatch.rules.ban_keys import words_in
from netwatch.rules.bans import load_pack, pack_ids


def notice_of(config: Config) -> Notice:
    """What the organisation tells persons concerned."""
    told, kept = config.data_protection, config.retention
    return Notice(
        told.controller if told else "",
        told.contact if told else "",
        told.supervisor if told else "",
        kept.incidents if kept else None,
        kept.evidence if kept else None,
    )


def zone_of_ban(ban_id: str, config: Config) -> ZoneInfo:
    """The time zone of a ban of the configuration or of a shipped one; UTC for another, whose zone
    is not known."""
    ban = _known(ban_id, config)
    return ZoneInfo(ban.timezone if ban else "UTC")


def with_words(incident: Explanation, config: Config, code: str) -> Explanation:
    """An incident whose ban is in the words that the configuration, or the shipped ban, has for it
    in a language. What the record says in other words than they do stays as it is: it is what was
    decided then."""
    told = incident.ban
    ban = _known(told.id, config)
    if ban is None:
        return incident
    words = words_in(ban, code)
    bases = {period.basis: text for period, text in zip(ban.periods, words.bases, strict=True)}

    def in_words(period: Period) -> Period:
        return replace(period, basis=bases.get(period.basis, period.basis))

    authority, basis = told.authority, told.legal_basis
    told = replace(
        told,
        authority=words.authority if authority == ban.authority else authority,
        legal_basis=words.legal_basis if basis == ban.legal_basis else basis,
        period=in_words(told.period),
        periods=tuple(in_words(period) for period in told.periods),
    )
    return replace(incident, ban=told)


def _known(ban_id: str, config: Config) -> Ban | None:
    for ban in config.policy.bans:
        if ban.id == ban_id:
            return ban
    return load_pack(ban_id, config.catalog).ban if ban_id in pack_ids() else None
