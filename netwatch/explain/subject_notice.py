"""What a configuration says for the page of the person concerned: whom to ask, how long data are
kept, and in which time zone the ban counts its days."""

from zoneinfo import ZoneInfo

from netwatch.config import Config
from netwatch.explain.subject import Notice
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
    for ban in config.policy.bans:
        if ban.id == ban_id:
            return ZoneInfo(ban.timezone)
    if ban_id in pack_ids():
        return ZoneInfo(load_pack(ban_id, config.catalog).ban.timezone)
    return ZoneInfo("UTC")
