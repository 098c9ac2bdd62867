"""Documents that a controller has to keep or to publish, filled in from the configuration: the data
protection impact assessment (GDPR article 35), the record of processing (article 30), and the
notice to staff (articles 13 and 14).

They are drafts in Markdown. What only the controller knows is a dotted line; periods, classes,
networks, bans and receivers are those of the configuration. `netwatch.explain.assessment` has the
parts of the impact assessment alone.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from netwatch import __version__
from netwatch.config import Config
from netwatch.config.data_sections import DataProtection
from netwatch.core.text import escaped
from netwatch.explain.subject import devices_of_class, rights
from netwatch.language.language import Language
from netwatch.rules.bans import words_in
from netwatch.store.options import Retention

BLANK = "." * 20
"""What the controller fills in."""

MAX_ROWS = 50
"""Bans, networks and receivers to name; further ones are counted."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of texts below a heading; without `columns` each is a question and its answer."""

    heading: str
    rows: Sequence[Sequence[str]]
    columns: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Document:
    """A title, a paragraph, and tables."""

    title: str
    purpose: str
    tables: Sequence[Table]


def markdown(document: Document, language: Language) -> Iterator[str]:
    """The lines of a document. Texts of the configuration cannot leave their cell."""
    usual = (language.say("Question"), language.say("Answer"))
    yield f"# {document.title}"
    yield ""
    yield document.purpose
    for table in document.tables:
        yield ""
        yield f"## {table.heading}"
        yield ""
        columns = table.columns or usual
        yield _row(columns)
        yield _row(["---"] * len(columns))
        yield from map(_row, table.rows)


def _row(cells: Sequence[str]) -> str:
    shown = (escaped(cell).replace("|", "\\|").replace("<", "&lt;") for cell in cells)
    return f"| {' | '.join(shown)} |"


class Facts:
    """What the configuration says about the processing, in a language."""

    def __init__(self, config: Config, language: Language) -> None:
        self.language = language
        self.say = language.say
        self._config = config
        self._told = config.data_protection or DataProtection()

    def draft(self) -> str:
        """What kind of document this is."""
        return self.say(
            "A draft that netwatch %(version)s made from its configuration, for the controller to"
            " check and complete. No lawyer has read it. Dotted lines are yours to fill in.",
            version=__version__,
        )

    def responsible(self) -> list[tuple[str, str]]:
        """Who answers for the data."""
        say, told = self.say, self._told
        return [
            (say("Responsible body"), told.controller or BLANK),
            (say("Data protection officer"), told.contact or BLANK),
            (say("Supervisory authority"), told.supervisor or BLANK),
        ]

    def purpose(self) -> str:
        """What the data are for."""
        return self.say(
            "To establish whether devices complied with the bans named here, to inform the persons"
            " concerned, and to report to the authority. Any other purpose needs an assessment of"
            " its own."
        )

    def bases(self) -> str:
        """The legal basis of each ban."""
        bans = [words_in(ban, self.language.code) for ban in self._config.policy.bans]
        return self._listed(f"{ban.authority or BLANK}: {ban.legal_basis or BLANK}" for ban in bans)

    def networks(self) -> str:
        """The networks, with the class of their devices."""
        scopes = sorted(self._config.networks.scopes, key=lambda scope: scope.network.name)
        return self._listed(
            f"{scope.network.name} ({devices_of_class(scope.network.device_class, self.language)})"
            for scope in scopes
        )

    def persons(self) -> str:
        """Whose data they are."""
        say = self.say
        text = say("Users of devices in these networks: %(networks)s", networks=self.networks())
        users = say("Users of the console: their accounts, what they looked at, and why")
        return f"{text}; {users}"

    def categories(self) -> str:
        """Which data they are."""
        say = self.say
        parts = [
            say("devices: network and hardware address, host name, owner if the inventory has one"),
            say("contacts: names and addresses of servers, times, amounts of data"),
            say(
                "incidents: device, app, ban and evidence, and what users of the console decided"
                " and noted"
            ),
            say(
                "evidence captures, if switched on: packets that prove an incident, which can"
                " contain the beginning of an unencrypted request"
            ),
        ]
        if self._config.store is not None:
            parts.append(say("days on which a device hid its lookups, with the signs of it"))
        return "; ".join([*parts, self.stored()])

    def stored(self) -> str:
        """What is kept apart from incidents, as a sentence without its full stop."""
        if self._config.store is None:
            return self.say("no store is configured: apart from incidents nothing is kept")
        return self.say(
            "the store keeps every name that a device showed and every connection, of a banned app"
            " or not: they can reveal health, religion, opinions or sexual orientation (Article 9)"
        )

    def source(self) -> str:
        """Where the data come from."""
        return self.say(
            "Copies of network traffic, flow records of routers, logs of resolvers, proxies,"
            " firewalls and devices, and the inventory. netwatch decrypts no content and blocks"
            " nothing."
        )

    def pseudonyms(self) -> str:
        """Which devices have pseudonyms."""
        privacy = self._config.privacy
        if privacy is None:
            return self.say("No devices have pseudonyms.")
        classes = [devices_of_class(name, self.language) for name in sorted(privacy.classes)]
        return self.say(
            "These devices appear under a pseudonym: %(devices)s.",
            devices=self.language.listed(classes),
        )

    def recipients(self) -> str:
        """Who sees the data."""
        say, config = self.say, self._config
        parts = [
            say(
                "users of the console, by role: administrators, analysts, auditors (totals and"
                " pseudonyms), the data protection officer"
            ),
            say("programs that have a token of such a role"),
        ]
        if config.outputs:
            names = self._listed(f"{output.name} ({output.type})" for output in config.outputs)
            text = say("systems that receive alerts and hidden lookups: %(names)s", names=names)
            parts.append(text)
        else:
            parts.append(say("no other system receives alerts"))
        if config.fleet is not None:
            parts.append(say("the centre of the sensors"))
        return "; ".join([*parts, BLANK])

    def transfers(self) -> str:
        """Whether data leave the European Economic Area."""
        return self.say(
            "netwatch sends data only to what is configured, and nothing to its authors. Receivers"
            " outside the European Economic Area, and the safeguards: %(blank)s",
            blank=BLANK,
        )

    def periods(self) -> list[tuple[str, str]]:
        """How long each kind of data is kept."""
        say, kept = self.say, self._config.retention or Retention()

        def both(what: str, limit: float | None) -> list[tuple[str, str]]:
            shorter = min(
                (each for each in (limit, kept.personal) if each is not None), default=None
            )
            personal = say("The same of personal and guest devices")
            return [(what, self._period(limit)), (personal, self._period(shorter))]

        return [
            *both(say("Names, connections and addresses"), kept.observations),
            (say("Incidents"), self._period(kept.incidents)),
            *both(say("Days on which devices hid their lookups"), kept.incidents),
            (say("Evidence captures"), self._period(kept.evidence)),
            (say("Alerts that wait for a receiver"), self._period(self._config.outbox.max_age)),
            (say("Who looked at whom, in the audit of the console"), self._period(None)),
        ]

    def _period(self, seconds: float | None) -> str:
        return self.say("without limit") if seconds is None else self.language.duration(seconds)

    def measures(self) -> str:
        """How the data are secured."""
        say = self.say
        parts = [
            say("files of the store and secrets are private to one system user"),
            say("access to the console from other machines needs TLS"),
            say("each page belongs to roles, and a page on a person asks for a purpose"),
            say("who looked at whom, and why, is in an audit in which a change shows"),
            say("what is too old is deleted, and a person's data can be erased"),
        ]
        return f"{'; '.join(parts)}. {self.pseudonyms()}"

    def no_automatism(self) -> str:
        """Whether a program decides about persons."""
        return self.say("None: an alert decides nothing about a person (Article 22).")

    def _listed(self, texts: Iterator[str]) -> str:
        found = list(dict.fromkeys(texts))
        if len(found) > MAX_ROWS:
            more = len(found) - MAX_ROWS
            left = self.language.say_count("%(count)s more", "%(count)s more", more)
            found = [*found[:MAX_ROWS], left]
        return "; ".join(found) or BLANK


def record_of_processing(config: Config, language: Language) -> Document:
    """The record of processing activities, GDPR article 30 (1)."""
    facts, say = Facts(config, language), language.say
    kept = "; ".join(f"{what}: {how_long}" for what, how_long in facts.periods())
    lettered = [
        *(("a", label, text) for label, text in facts.responsible()[:2]),
        ("b", say("Purposes"), facts.purpose()),
        ("b", say("Legal basis"), facts.bases()),
        ("c", say("Persons concerned"), facts.persons()),
        ("c", say("Categories of data"), facts.categories()),
        ("d", say("Recipients"), facts.recipients()),
        ("e", say("Transfers"), facts.transfers()),
        ("f", say("Time limits for erasure"), kept),
        ("g", say("Security measures"), facts.measures()),
    ]
    rows = [(f"({letter}) {label}", text) for letter, label, text in lettered]
    title = say("Record of processing activities: compliance with bans on apps")
    return Document(title, facts.draft(), [Table(say("Article 30 (1) GDPR"), rows)])


def notice_to_staff(config: Config, language: Language) -> Document:
    """The information of articles 13 and 14, for everybody whose device is in the networks."""
    facts, say = Facts(config, language), language.say
    purpose = say(
        "In our networks, the program netwatch checks whether devices contact apps that are banned"
        " on them, or advised against. This notice says what is recorded, and what you can ask"
        " for. It is a draft that no lawyer has read; remove this sentence once it is checked."
    )
    rows = [
        *facts.responsible(),
        (say("Purposes"), facts.purpose()),
        (say("Legal basis"), facts.bases()),
        (say("Which devices"), facts.networks()),
        (say("Categories of data"), facts.categories()),
        (say("Where the data come from"), facts.source()),
        (say("Pseudonyms"), facts.pseudonyms()),
        (say("Recipients"), facts.recipients()),
        (say("Transfers"), facts.transfers()),
        (say("Automated decisions"), facts.no_automatism()),
        (say("Your rights"), rights(language)),
    ]
    unproved = [
        say("Who used the device, or whether anyone did: a device can be shared."),
        say("What was viewed, written or said."),
        say(
            "That an installed app was used: it connects in the background even"
            " while nobody uses the device."
        ),
    ]
    tables = [
        Table(say("Who does what, and why"), rows),
        Table(say("How long the data are kept"), facts.periods()),
        Table(
            say("What this does not prove"),
            [(str(number), text) for number, text in enumerate(unproved, 1)],
        ),
    ]
    return Document(say("Notice to staff: contacts with banned apps"), purpose, tables)


def documents() -> Mapping[str, Callable[[Config, Language], Document]]:
    """The documents by the word that a user names them with."""
    from netwatch.explain.assessment import impact_assessment

    return {
        "dpia": impact_assessment,
        "record": record_of_processing,
        "notice": notice_to_staff,
    }
