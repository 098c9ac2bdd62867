"""The short words of a report in a language: what the codes of its values are called."""

from netwatch.charts.coverage import reason_words
from netwatch.language.language import Language


def answers(language: Language) -> dict[str, str]:
    """The answers."""
    return {
        "kept": language.say("Complied with"),
        "not-kept": language.say("Violated"),
        "cannot-be-said": language.say("Inconclusive"),
        "not-in-force": language.say("Not in force"),
    }


def answers_explained(language: Language) -> dict[str, str]:
    """What the answers mean."""
    return {
        "kept": language.say(
            "No violation was seen, and everything that must be visible to"
            " conclude that was visible."
        ),
        "not-kept": language.say(
            "At least one device in the ban's scope reached the app despite the ban."
        ),
        "cannot-be-said": language.say(
            "No violation is proved, but evidence that proves nothing by itself,"
            " or gaps in what could be seen, leave the question open."
        ),
        "not-in-force": language.say("The ban forbade nothing on any day of this report."),
    }


def verdicts(language: Language) -> dict[str, str]:
    """The verdicts."""
    return {
        "violation": language.say("violation"),
        "advisory": language.say("advised against"),
        "exempt": language.say("exempt"),
    }


def confidences(language: Language) -> dict[str, str]:
    """The confidences."""
    return {
        "confirmed": language.say("confirmed"),
        "probable": language.say("probable"),
        "possible": language.say("possible"),
    }


def kinds(language: Language) -> dict[str, str]:
    """The kinds of incidents."""
    return {
        "session": language.say("the app was used"),
        "background": language.say("an installed app keeps in touch by itself"),
        "embed": language.say("a page or another app loaded a part of it"),
        "lookup": language.say("a name was only asked for"),
    }


def short_kinds(language: Language) -> dict[str, str]:
    """The kinds of incidents in a word, for long tables."""
    return {
        "session": language.say("use"),
        "background": language.say("background"),
        "embed": language.say("page part"),
        "lookup": language.say("lookup"),
    }


def outcomes(language: Language) -> dict[str, str]:
    """The outcomes of incidents."""
    return {
        "reached": language.say("a server answered"),
        "attempted": language.say("no answer seen"),
        "blocked": language.say("blocked"),
        "unknown": language.say("only one direction captured"),
    }


def servers(language: Language) -> dict[str, str]:
    """What was seen of the servers of incidents."""
    return {
        "acknowledged": language.say("acknowledged by the server"),
        "not-acknowledged": language.say("the server was seen, but acknowledged none of it"),
        "client-only": language.say("only what the client sent was seen"),
        "": language.say("not known"),
    }


def classes(language: Language) -> dict[str, str]:
    """The classes of devices."""
    return {
        "service": language.say("service device"),
        "personal": language.say("personal device"),
        "guest": language.say("guest device"),
        "infrastructure": language.say("infrastructure"),
        "unknown": language.say("class not known"),
    }


def classes_of_several(language: Language) -> dict[str, str]:
    """The classes, of several devices."""
    return {
        "service": language.say("service devices"),
        "personal": language.say("personal devices"),
        "guest": language.say("guest devices"),
    }


def weights(language: Language) -> dict[str, str]:
    """How violations count for the answer."""
    return {
        "proved": language.say("proved"),
        "unanswered": language.say("confirmed, without an answer"),
        "blocked": language.say("blocked attempt"),
        "probable": language.say("probable"),
        "lookup": language.say("lookup only"),
        "embed": language.say("part of a page"),
        "possible": language.say("does not count"),
        "": "",
    }


def exemption_states(language: Language) -> dict[str, str]:
    """What exemptions were used for."""
    return {
        "used": language.say("used"),
        "unused": language.say("unused"),
        "used-after-expiry": language.say("contacts after its end"),
        "not-registered": language.say("used, but no longer in the register"),
    }


def reasons(language: Language) -> dict[str, str]:
    """Why a name was not read."""
    return reason_words(language)


def cures(language: Language) -> dict[str, str]:
    """What would make flows readable, by the reason why they were not."""
    resolver = language.say(
        "Add your own resolver's logs as a source, and make devices use only that resolver."
    )
    endpoint = language.say(
        "Decide in the rules for devices whether VPN and relay services may be used; capture behind"
        " your own VPN gateway."
    )
    whole = language.say("Capture whole packets: raise the snap length of the capture.")
    loss = language.say(
        "Look for lost packets: drops of the sensor, and overload of the mirror port."
    )
    return {
        "ech": resolver,
        "encrypted-dns": resolver,
        "vpn": endpoint,
        "relay": endpoint,
        "tor": endpoint,
        "no-sni": language.say(
            "Nothing on the wire helps: lookups in the resolver's logs show which name was meant."
        ),
        "no-hello": language.say("Check what these protocols are; a name is not part of them."),
        "truncated": whole,
        "hello-incomplete": loss,
        "begun-before-capture": language.say("Let the capture run without interruption."),
        "one-direction": language.say("Mirror both directions of the line to the sensor."),
        "no-data": language.say("None: no content was transferred."),
    }
