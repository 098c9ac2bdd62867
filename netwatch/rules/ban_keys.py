"""The keys of bans and exemptions in a configuration, and of the files of shipped packs."""

from netwatch.core.file_keys import REQUIRED, Section, row

_APPS = "app ids, `vendor:…` and `category:…`"
_CONFIDENCES = "`possible`, `probable` or `confirmed`"
_SEVERITIES = "`low`, `medium`, `high` or `critical`"

PACK_ENTRY_KEYS = Section(
    "bans[]",
    (
        row("pack", "id", REQUIRED, "the id of a shipped ban"),
        row("severity", "word", "the pack's", f"severity of alerts: {_SEVERITIES}"),
        row(
            "min_confidence",
            "word",
            "the pack's",
            f"confidence from which an incident is reported: {_CONFIDENCES}",
        ),
        row("networks", "list of names", "the pack's", "networks in which the ban applies"),
        row("bypass", "word", "the pack's", "as in a ban that is written out"),
    ),
)
"""The keys of an entry of ``bans`` that names a pack."""

BAN_KEYS = Section(
    "bans[]",
    (
        row("id", "text", REQUIRED, "a unique name, shown in alerts"),
        row("authority", "text", REQUIRED, "who issued the ban"),
        row("apps", "list of texts", REQUIRED, f"the banned apps, at least one: {_APPS}"),
        row(
            "forbids",
            "list of classes",
            "`[service]`",
            "classes of devices whose contacts are violations: `service`, `personal`, `guest`",
        ),
        row(
            "advises",
            "list of classes",
            "none",
            "classes of devices whose contacts are advisories; a class must not be in both lists",
        ),
        row("from", "day", "open", "first day in force, `YYYY-MM-DD`, in `timezone`"),
        row("until", "day", "open", "last day in force, `YYYY-MM-DD`, in `timezone`"),
        row(
            "periods",
            "list of periods",
            "from `from` and `until`",
            "instead of `from` and `until`: the periods in which the ban is in force, in order; "
            "between two of them it is not",
        ),
        row("review", "day", "none", "day on which the ban is to be reviewed, shown in alerts"),
        row("timezone", "IANA name", "`UTC`", "time zone in which its days begin and end"),
        row("legal_basis", "text", "empty", "shown in alerts"),
        row(
            "min_confidence",
            "word",
            "`probable`",
            f"{_CONFIDENCES}: incidents with weaker evidence are counted, but not reported",
        ),
        row("severity", "word", "`high`", f"severity of alerts: {_SEVERITIES}"),
        row("networks", "list of names", "all networks", "networks in which the ban applies"),
        row(
            "bypass",
            "word",
            "`count`",
            "`alert`: the ban also covers every app that hides names (VPN, relay, Tor, encrypted "
            "DNS). `count`: flows of such apps are only counted as blind spots",
        ),
        row(
            "texts",
            "mapping",
            "none",
            "its words in other languages, for reports and pages: under `en`, `fr`, `nl` and `de`",
        ),
    ),
)
"""The keys of an entry of ``bans`` that is written out."""

TEXTS_KEYS = Section(
    "bans[].texts",
    tuple(
        row(code, "mapping", "none", f"the words in {name}")
        for code, name in (("en", "English"), ("fr", "French"), ("nl", "Dutch"), ("de", "German"))
    ),
)
"""The languages of the words of a ban."""

TEXT_KEYS = Section(
    "bans[].texts.LANGUAGE",
    (
        row("authority", "text", "the ban's", "who issued the ban"),
        row("legal_basis", "text", "the ban's", "its legal basis"),
        row(
            "bases",
            "list of texts",
            "the periods'",
            "the `basis` of each period, in the order of `periods`",
        ),
    ),
)
"""The keys of the words of a ban in a language."""

PERIOD_KEYS = Section(
    "bans[].periods[]",
    (
        row("from", "day", "open", "first day; only the first period may be without"),
        row("until", "day", "open", "last day; only the last period may be without"),
        row("basis", "text", "empty", "the decision that it rests on, shown in alerts"),
        row(
            "kind",
            "word",
            "`ban`",
            "`ban` or `advice`: with `advice` the classes under `forbids` give advisories",
        ),
    ),
)
"""The keys of a period of a ban."""

PACK_FILE_KEYS = Section(
    "",
    (
        *BAN_KEYS.keys,
        row("jurisdiction", "text", "empty", "ISO 3166 code (`BE`, `US-TX`), `EU` or `NATO`"),
        row("announced", "day", "none", "day on which the ban was announced"),
        row("clean_by", "day", "none", "day by which devices had to be without the apps"),
        row("scope", "text", "empty", "whom the ban covers, in words"),
        row(
            "status",
            "text",
            "empty",
            "whether it is still in force, and what about it is not known or not confirmed",
        ),
        row(
            "unconfirmed",
            "list of words",
            "none",
            "what no source confirms, as `status` explains: `announced`, `from`, `until`, "
            "`in_force`, `legal_basis` or `scope`",
        ),
        row("notes", "text", "empty", "further remarks"),
        row("sources", "list of texts", "none", "where the ban was published or described"),
    ),
)
"""The keys of the file of a shipped pack."""
