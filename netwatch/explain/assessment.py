"""The data protection impact assessment (GDPR article 35) as a draft: the processing, why it is
necessary, its risks with what netwatch does about them, and forms for those who have to be heard.

How likely and how severe a risk is, and whether the rest of it is acceptable, only the controller
can judge.
"""

from netwatch import __version__
from netwatch.config import Config
from netwatch.explain.documents import BLANK, Document, Facts, Table
from netwatch.language.language import Language


def impact_assessment(config: Config, language: Language) -> Document:
    """The assessment, with the form for the representatives of staff."""
    facts, say = Facts(config, language), language.say
    risks = [(risk, measure, BLANK, BLANK) for risk, measure in _risks(language)]
    columns = (
        say("Risk"),
        say("What netwatch does about it"),
        say("Likelihood and severity"),
        say("Remaining risk, and your measures"),
    )
    tables = [
        Table(say("Responsibility"), [*facts.responsible(), (say("Assessed by, on"), BLANK)]),
        Table(say("The processing (Article 35 (7) (a))"), _processing(facts)),
        Table(say("How long the data are kept"), facts.periods()),
        Table(say("Necessity and proportionality (Article 35 (7) (b))"), _necessity(facts)),
        Table(say("Risks and measures (Article 35 (7) (c) and (d))"), risks, columns),
        Table(say("Consultation and decision"), _decision(language)),
        Table(say("Form for the works council or staff representatives"), _form(facts)),
    ]
    title = say("Data protection impact assessment: compliance with bans on apps")
    return Document(title, facts.draft(), tables)


def _processing(facts: Facts) -> list[tuple[str, str]]:
    say = facts.say
    return [
        (say("Purposes"), facts.purpose()),
        (say("Legal basis"), facts.bases()),
        (say("Where the data come from"), facts.source()),
        (say("Persons concerned"), facts.persons()),
        (say("Categories of data"), facts.categories()),
        (say("Recipients"), facts.recipients()),
        (say("Transfers"), facts.transfers()),
        (say("Automated decisions"), facts.no_automatism()),
        (say("Security measures"), facts.measures()),
    ]


def _necessity(facts: Facts) -> list[tuple[str, str]]:
    say, stored = facts.say, facts.stored()
    return [
        (
            say("Milder means"),
            say(
                "Blocking the apps (`signatures export`), advice without a ban, or informing staff"
                " may be enough. Why it is not: %(blank)s",
                blank=BLANK,
            ),
        ),
        (say("Data minimisation"), f"{facts.pseudonyms()} {stored[0].upper()}{stored[1:]}."),
        (
            say("Accuracy"),
            say(
                "Each alert states how certain it is, which packet or line shows it, what it does"
                " not prove, and what would refute it; `verify` checks the packets independently."
            ),
        ),
        (
            say("Information"),
            say(
                "The notice to staff (`policy document notice`), and a page for each person"
                " concerned (`explain --subject`)."
            ),
        ),
        (
            say("Rights of the persons concerned"),
            say(
                "Access: the page on a person in the console. Correction: the inventory. Erasure:"
                " `store erase`. Objection: decided by %(blank)s",
                blank=BLANK,
            ),
        ),
    ]


def _risks(language: Language) -> list[tuple[str, str]]:
    """Each risk for persons, with what netwatch does about it."""
    say = language.say
    return [
        (
            say("Someone is blamed for what another person, a web page or an idle app did."),
            say(
                "Alerts are about devices, and tell use from embedded pages, background traffic and"
                " mere lookups."
            ),
        ),
        (
            say("One device is mistaken for another, since addresses change."),
            say(
                "Leases and inventory have dates; what cannot be told apart stays unknown;"
                " contradictions are shown."
            ),
        ),
        (
            say("The data serve to monitor behaviour or performance."),
            say("Roles, a purpose for each look at a person, an audit, short retention."),
        ),
        (
            say("Names of servers reveal private or sensitive matters."),
            say("Work without a store or with a short retention; pseudonyms; totals for auditors."),
        ),
        (
            say("Data are stolen or disclosed."),
            say("Private files, TLS, encrypted addresses of devices with pseudonyms."),
        ),
        (
            say("Traffic is forged to accuse someone."),
            say(
                "Only an answer of the server makes a contact certain; floods of invented devices"
                " become one incident."
            ),
        ),
        (
            say("A pseudonym is traced back to a person."),
            say(
                "It cannot be computed without the key; resolving one needs a reason, which is"
                " recorded. Times and habits can still identify a person."
            ),
        ),
        (
            say("Data are kept for longer than necessary."),
            say(
                "A live capture deletes what is too old every hour, `store prune` on demand. Copies"
                " that have left netwatch are not reached."
            ),
        ),
        (
            say("Staff feel watched, and avoid lawful communication."),
            say(
                "Inform staff first, agree on rules with their representatives, only advise on"
                " personal devices, and block rather than record."
            ),
        ),
    ]


def _decision(language: Language) -> list[tuple[str, str]]:
    say = language.say
    labels = (
        say("Advice of the data protection officer (Article 35 (2))"),
        say("Views of the persons concerned or their representatives (Article 35 (9))"),
        say("Is prior consultation of the supervisory authority needed (Article 36)?"),
        say("Decision, and conditions"),
        say("Next review"),
        say("Date, name, signature"),
    )
    return [(label, BLANK) for label in labels]


def _form(facts: Facts) -> list[tuple[str, str]]:
    say = facts.say
    return [
        (
            say("What is introduced"),
            say(
                "netwatch %(version)s, a program that reports contacts of devices with banned apps",
                version=__version__,
            ),
        ),
        (say("Which devices"), facts.networks()),
        (say("Categories of data"), facts.categories()),
        (say("Recipients"), facts.recipients()),
        (say("May the data serve to assess performance or behaviour?"), BLANK),
        (say("Who may look at a person, and who must agree first?"), BLANK),
        (say("What follows from an alert, and who hears the person first?"), BLANK),
        (say("How and when is staff informed?"), BLANK),
        (say("Until when does this hold, and when is it reviewed?"), BLANK),
        (
            say("Opinion"),
            say("[ ] agreed   [ ] agreed with conditions   [ ] not agreed"),
        ),
        (say("Date, names, signatures"), BLANK),
    ]
