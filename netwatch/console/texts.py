"""Words of records, as pages show them in each language."""

from collections.abc import Mapping

from netwatch.core.verdict import Ban
from netwatch.explain.subject import CATALOGUES, period_text
from netwatch.language.language import Language, language


def periods_of(ban: Ban, used: Language) -> str:
    """The days on which a ban is in force, in words, with the time zone that they are of."""
    texts = language(used.code, CATALOGUES)
    spans = [
        period_text(first.isoformat() if first else None, last.isoformat() if last else None, texts)
        for first, last in ban.days
    ]
    return f"{'; '.join(spans)} ({ban.timezone})"


def words(language: Language) -> Mapping[str, str]:
    """The words of verdicts, confidences, kinds, outcomes, states, roles, classes, and actions
    of the audit."""
    say = language.say
    return {
        "violation": say("violation"),
        "advisory": say("advisory"),
        "exempt": say("exempt"),
        "confirmed": say("confirmed"),
        "probable": say("probable"),
        "possible": say("possible"),
        "session": say("session"),
        "background": say("background"),
        "embed": say("embed"),
        "lookup": say("lookup"),
        "reached": say("reached"),
        "attempted": say("attempted"),
        "blocked": say("blocked"),
        "unknown": say("unknown"),
        "open": say("open"),
        "update": say("updated"),
        "closed": say("closed"),
        "not yet": say("not yet in force"),
        "in force": say("in force"),
        "gap": say("between two periods"),
        "over": say("over"),
        "erase": say("erased"),
        "prune": say("deleted by age"),
        "high": say("high"),
        "medium": say("medium"),
        "low": say("low"),
        "community_id": say("shared flows"),
        "time": say("device and time alone"),
        "healthy": say("healthy"),
        "unhealthy": say("UNHEALTHY"),
        "silent": say("silent"),
        "new": say("not heard yet"),
        "admin": say("administrator"),
        "analyst": say("analyst"),
        "auditor": say("auditor"),
        "dpo": say("data protection officer"),
        "service": say("service"),
        "personal": say("personal"),
        "guest": say("guest"),
        "infrastructure": say("infrastructure"),
        "incident": say("incident"),
        "case": say("case"),
        "plain words": say("plain words"),
        "device": say("device"),
        "person": say("person"),
        "list": say("filtered list"),
        "export": say("export"),
        "identify": say("re-identification"),
        "netwatch": "netwatch",
        "signatures": say("signatures"),
        "bans": say("bans"),
        "configuration": say("configuration"),
        "set": say("set of signatures"),
        "purpose": say("purpose"),
        "sign-in": say("sign-in"),
        "sign-in failed": say("sign-in failed"),
        "sign-in limited": say("sign-in limited"),
        "sign-out": say("sign-out"),
        "sign-out everywhere": say("sign-out everywhere"),
        "password changed": say("password changed"),
        "account added": say("account added"),
        "account removed": say("account removed"),
        "role changed": say("role changed"),
    }
