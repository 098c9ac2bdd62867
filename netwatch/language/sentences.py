"""The sentences in records, by code: the reasons for a confidence, a kind or a device, the troubles
of a sensor, and notes on a configuration.

Records are in English and have whole sentences. Code that writes one takes it from here
(`sentence`), and code that shows it in another language finds it here again
(`netwatch.language.language`). So each sentence is written once, and the tests of this package
notice one without a translation. Nothing here needs Babel, because captures import it.

Texts that are translated when they are shown are marked with `mark`.
"""

from collections.abc import Mapping


def mark(text: str) -> str:
    """The text, unchanged; marks it for `make messages`."""
    return text


TEXTS: Mapping[str, str] = {
    # The kind of an incident (netwatch.incidents.kind)
    "only-lookups": mark("%(lookups)s, no handshake with a host of the app and no flow to one."),
    "only-filter": mark(
        "%(contacts)s with %(hosts)s went to an address of a filter, and none to a host of the app."
    ),
    "in-use": mark(
        "%(contacts)s with %(hosts)s, which only the app calls, in use for %(time)s (threshold:"
        " %(least)s for %(least_time)s)."
    ),
    "in-use-volume": mark(
        "In %(contacts)s with the app over %(time)s the device received %(received)s bytes"
        " and sent %(sent)s (threshold: %(least)s over %(least_time)s, %(least_out)s). Of these,"
        " %(use)s came soon in connections with more than a check for messages, %(rate)s a minute"
        " (threshold: %(least_in)s, %(least_rate)s, %(least_use)s in a connection)."
    ),
    "long-connections": mark(
        "%(contacts)s with %(hosts)s, which only the app calls; the connections were in use for"
        " %(time)s (threshold: %(least_time)s)."
    ),
    "long-connections-volume": mark(
        "In them the device received %(received)s bytes, %(rate)s a minute, and sent %(sent)s"
        " (threshold: %(least_in)s, %(least_rate)s, %(least_out)s)."
    ),
    "in-browser": mark(
        "%(contacts)s with %(hosts)s, which pages call as well as the app, in %(minutes)s minutes"
        " within %(time)s (threshold: %(least)s in %(least_minutes)s over %(least_time)s)."
    ),
    "in-browser-volume": mark(
        "In this burst the device received %(received)s bytes and sent %(sent)s, more than a page"
        " loads that embeds a player (threshold: %(least_in)s)."
    ),
    "one-way": mark(
        "%(contacts)s with %(hosts)s, which only the app calls, within %(time)s (threshold:"
        " %(least)s over %(least_time)s)."
    ),
    "one-way-volume": mark("The device sent %(sent)s bytes (threshold: %(least_out)s)."),
    "own-hosts": mark("%(contacts)s with %(hosts)s, which only the app calls."),
    "page-hosts": mark("%(contacts)s with %(hosts)s, which pages call as well."),
    "shared-hosts": mark("%(contacts)s with %(hosts)s, which others call as well."),
    "no-own-host": mark("No host that only the app calls was contacted."),
    "timer": mark(
        "The device received %(received)s bytes and sent %(sent)s, of them at most %(most)s"
        " received in one burst, of %(contacts)s within %(time)s: so regular and so small that a"
        " timer of the app explains them (threshold: %(least_in)s in a burst, %(least_time)s"
        " between them)."
    ),
    "too-little": mark(
        "The device received %(received)s bytes and sent %(sent)s, of them at most %(most)s"
        " received in one burst, of %(contacts)s within %(time)s: too few or too short for a"
        " session (threshold: %(least_in)s in %(least)s over %(least_time)s with %(least_rate)s,"
        " or %(long_in)s in connections of %(long_time)s)."
    ),
    "small-connections": mark(
        "Most of it came in connections of which each received less than %(least)s within"
        " %(least_time)s: checks for messages, of one device or of several behind its address."
    ),
    "many-stacks": mark(
        "The hellos to hosts that only the app calls have %(stacks)s different lists of cipher"
        " suites (threshold: %(least)s): those of several devices behind one address."
    ),
    "no-session-of-several": mark(
        "The contacts of several devices add up, so this shows no session of any of them."
    ),
    "embed-volume": mark(
        "The device received %(received)s bytes and sent %(sent)s in %(bursts)s of at most"
        " %(time)s (threshold for a session without the app's own hosts: %(least_in)s in %(least)s"
        " over %(least_time)s)."
    ),
    "regular": mark(
        "%(bursts)s at regular intervals, %(time)s on average (variation %(variation)s, regular up"
        " to %(most_variation)s)."
    ),
    "irregular": mark(
        "%(bursts)s at irregular intervals, %(time)s on average (variation %(variation)s, regular"
        " up to %(most_variation)s)."
    ),
    "lookups-blocked": mark("The lookups were answered by a block."),
    "connections-blocked": mark(
        "Connections were refused or reset before the server answered, or led to a filter."
    ),
    "no-answer": mark("No answer of a server of the app was seen."),
    "one-direction": mark(
        "Only one direction of the traffic was captured, so the volume is not known."
    ),
    "installed": mark(
        "The app is probably still installed: app-only names were asked for (%(hosts)s)."
    ),
    "installed-asked": mark(
        "The app is probably still installed: app-only names were asked for %(times)s (%(hosts)s)."
    ),
    "installed-regularly": mark(
        "The app is probably still installed: app-only names were asked for %(times)s at regular"
        " intervals (%(hosts)s)."
    ),
    # The confidence of an incident (netwatch.incidents.confidence)
    "gives-handshake": mark("A handshake with %(name)s (%(evidence)s, %(rule)s) gives %(grade)s."),
    "gives-certificate": mark(
        "A certificate for %(name)s (%(evidence)s, %(rule)s) gives %(grade)s."
    ),
    "gives-lookup": mark("A lookup of %(name)s (%(evidence)s, %(rule)s) gives %(grade)s."),
    "gives-address": mark(
        "A flow to an address of %(name)s (%(evidence)s, %(rule)s) gives %(grade)s."
    ),
    "gives-ech": mark(
        "A hello that hides its name (ECH), with a key that the device was given for %(name)s"
        " (%(evidence)s, %(rule)s), gives %(grade)s."
    ),
    "no-handshake": mark("It is no handshake: it does not prove that the device reached the app."),
    "no-handshake-but": mark(
        "It is no handshake, which would give %(grade)s: it does not prove that the device reached"
        " the app."
    ),
    "grade": mark("The grade of %(rule)s is %(grade)s: %(reasons)s."),
    "lifted": mark(
        "Handshakes with two names that only the app calls, %(name)s (listed by %(family)s) and"
        " %(second)s (listed by %(second_family)s), lift it to %(grade)s, because their sources are"
        " independent."
    ),
    "lifted-from": mark(
        "That lifts it from %(grade)s, which a handshake with %(name)s (%(evidence)s, %(rule)s)"
        " gives."
    ),
    # What lowers the confidence of a contact by how it was seen (netwatch.incidents.confidence)
    "server-unseen": mark(
        "Of this conversation only what the client sent was seen, no answer or acknowledgement of"
        " its server; one sender alone could have forged that: at most %(grade)s."
    ),
    "server-not-sampled": mark(
        "Of this conversation no acknowledgement of the server was seen. One packet in %(rate)s was"
        " looked at, so that there may have been one: at most %(grade)s."
    ),
    "answers-not-sampled": mark(
        "One packet in %(rate)s was looked at, so that the device may have been given the address"
        " for other names: %(grade)s."
    ),
    "server-elsewhere": mark(
        "The server was seen to send, but nothing that acknowledges this packet, which somebody"
        " else could have forged: at most %(grade)s."
    ),
    "log-server-unseen": mark(
        "The log (%(format)s) does not say that the server took part: at most %(grade)s."
    ),
    "checksum-wrong": mark(
        "The checksum of the packet with the name is wrong, so the server cannot have read it: at"
        " most %(grade)s."
    ),
    # Contacts with one of several names (netwatch.incidents.alert_parts)
    "ech-banned": mark(
        "The name is not in the hello: it is known by what the device was given before (candidates:"
        " %(count)s, all banned), so it is %(grade)s at most."
    ),
    "ech-shared": mark(
        "The name is not in the hello, and of its candidates (%(count)s) not all are banned:"
        " %(grade)s."
    ),
    "candidates-banned": mark(
        "The hello shows %(shown)s and hides its name (ECH). The device was given this key for"
        " these names, all of which are banned."
    ),
    "candidates-shared": mark(
        "The hello shows %(shown)s and hides its name (ECH). The device was given this key for"
        " these names, not all of which are banned."
    ),
    "candidates-told": mark(
        "The flow record shows the address %(shown)s and no name. The device had been told it for"
        " these names, all of this app."
    ),
    "candidates-of-others": mark(
        "The flow record shows the address %(shown)s and no name. Not the device, but others had"
        " been told it for these names, all of this app."
    ),
    "address-alone": mark(
        "The flow record has no name. Its address was given for this app only (candidates:"
        " %(count)s), to this device and to all others: %(grade)s."
    ),
    "address-shared": mark(
        "The flow record has no name. This device was given its address for this app only"
        " (candidates: %(count)s), but others were given it for other names: %(grade)s."
    ),
    "address-others": mark(
        "The flow record has no name, and the device was not seen to look up any for its address:"
        " others were given it for this app (candidates: %(count)s): %(grade)s."
    ),
    "exporter-doubted": mark(
        "The exporter of the flow record also sent impossible numbers or times, so its other"
        " records may be wrong, too: at most %(grade)s."
    ),
    # What lowers the confidence of a contact that a log shows (netwatch.incidents.confidence)
    "log-year": mark(
        "The times of the log (%(format)s) have no year; the year was assumed: at most %(grade)s."
    ),
    "log-time-zone": mark(
        "The times of the log (%(format)s) have no time zone; the zone was assumed: at most"
        " %(grade)s."
    ),
    "log-behind-nat": mark(
        "The log (%(format)s) has the address of the client after translation, behind which there"
        " may be other devices: at most %(grade)s."
    ),
    "log-denied": mark(
        "The request was denied (%(by)s): it is an attempt, and gives at most %(grade)s."
    ),
    # What speaks against a contact (netwatch.engine.contradicted)
    "contradicted": mark("%(reason)s Somebody else may have sent it: at most %(grade)s."),
    "mac-not-listed": mark(
        "In the frame the client has the MAC %(mac)s, but the inventory gives this device the MAC"
        " %(bound)s, and nothing shows that the first one is a router's."
    ),
    "mac-not-learned": mark(
        "In the frame the client has the MAC %(mac)s, but its address was learned to belong to the"
        " MAC %(bound)s, and nothing shows that the first one is a router's."
    ),
    "mac-not-bound-hidden": mark(
        "The MAC in the frame is not the one of this device, and nothing shows that it is a"
        " router's."
    ),
    "claimed-twice": mark(
        "Two machines claimed the address of this device at the time: %(mac)s and %(other)s."
    ),
    "claimed-twice-hidden": mark("Two machines claimed the address of this device at the time."),
    "contested": mark(
        "Before its server acknowledged this, the same connection sent other bytes at its place, or"
        " a hello with another name: nobody can tell which of them the server read."
    ),
    "another-name": mark("The same connection shows another name as well: %(name)s."),
    # Contacts without a verdict
    "no-client": mark("the log does not say which device asked"),
    # The grade of a rule (netwatch.rules.grade)
    "role-exclusive": mark("the domain is this app's own (role exclusive): %(grade)s"),
    "role-vendor": mark("several apps of the vendor use the domain (role vendor): %(grade)s"),
    "role-embed": mark("other sites and apps load the domain (role embed): %(grade)s"),
    "role-cdn": mark(
        "the domain is a shared host that contains the app's name (role cdn): %(grade)s"
    ),
    "limit-embed": mark(
        "pages or other apps call the domain too (embed_reachable): at most %(grade)s"
    ),
    "limit-cap": mark("the rule says so (confidence: %(cap)s): at most %(grade)s"),
    "limit-unverified": mark(
        "the owner of the domain is not confirmed (verified: false): at most %(grade)s"
    ),
    "limit-one-source": mark(
        "the shipped rule rests on one independent source (%(sources)s): at most %(grade)s"
    ),
    # Which device it is, or why that is not known (netwatch.inventory)
    "device-mac-entry": mark("the inventory has its MAC: class of the entry"),
    "device-mac-network": mark("the inventory has its MAC: class of the network"),
    "device-address-entry": mark("the inventory has its address: class of the entry"),
    "device-address-network": mark("the inventory has its address: class of the network"),
    "device-hostname-entry": mark("the inventory has its learned host name: class of the entry"),
    "device-hostname-network": mark(
        "the inventory has its learned host name: class of the network"
    ),
    "device-unlisted": mark(
        "the inventory has neither its address nor its MAC: class of the network"
    ),
    "device-unproven": mark(
        "it stands for clients that are not in the inventory and that no"
        " handshake proves to be real: more than the limit asked in this"
        " network within an hour"
    ),
    "device-learned": mark("not in the inventory; its MAC was learned: class of the network"),
    "device-randomised": mark(
        "%(reason)s; its MAC is a randomised one (locally administered), which the device may"
        " change: it can appear under another one"
    ),
    "device-two-entries": mark(
        "the inventory gives its MAC to one device, and its address to another"
    ),
    "device-two-macs": mark("two devices have its MAC at this time"),
    "device-two-addresses": mark("two devices have its address at this time"),
    "device-other-frame": mark("its address belongs to one device, but the frame is from another"),
    "device-other-learned": mark(
        "the frame is from a device of the inventory, but the address was learned to belong to"
        " another one"
    ),
    "device-other-entry": mark(
        "the inventory gives its address to one device, but it was learned to belong to another one"
    ),
    "device-nat": mark(
        "its contacts come from several devices: more TLS stacks than one"
        " device has were seen behind its address (NAT, a proxy or a terminal"
        " server)"
    ),
    "device-proxy": mark("it is a proxy: it was asked for the app's hosts by others"),
    # Why a live capture is unhealthy (netwatch.watch.health)
    "trouble-silent": mark("no packet for %(time)s"),
    "trouble-dropping": mark("packets dropped %(time)s ago, %(count)s in total"),
    "trouble-stuck": mark("output %(output)s: %(waiting)s waiting, the oldest for %(time)s"),
    "trouble-outbox": mark("outbox: %(problem)s; %(waiting)s in memory only"),
    "trouble-outbox-lost": mark("outbox: %(problem)s; %(waiting)s in memory only, %(lost)s lost"),
    "trouble-down": mark("interface %(interface)s is down"),
    "trouble-unreadable": mark("log %(log)s cannot be read: %(problem)s"),
    "trouble-lagging": mark("logs are read %(time)s after they were written"),
    "trouble-reload": mark(
        "the configuration was refused, the previous one is still in use: %(problem)s"
    ),
    "trouble-records": mark("records cannot be written: %(problem)s"),
    "trouble-evidence": mark("evidence cannot be written: %(problem)s"),
    "trouble-expired": mark("set %(version)s expired %(time)s ago, and stays in use"),
    "trouble-updates": mark("no check for a newer set succeeded for %(time)s: %(problem)s"),
    "trouble-store": mark("the store cannot be written to: %(problem)s"),
    "trouble-store-lost": mark("the store cannot be written to: %(problem)s, %(lost)s lost"),
    "trouble-losing": mark("the store lost something %(time)s ago, in total %(lost)s"),
    "trouble-spool": mark("the spool was full: %(lost)s of facts were evicted"),
    "trouble-clock-ahead": mark("the clock is %(time)s ahead of the centre's clock"),
    "trouble-clock-behind": mark("the clock is %(time)s behind the centre's clock"),
    "trouble-published": mark("what the centre published is refused: %(problem)s"),
    "trouble-fleet": mark("the fleet: %(problem)s"),
    "trouble-centre": mark("no connection to the centre for %(time)s: %(problem)s"),
    # What a user may not expect of a configuration (netwatch.config)
    "note-no-file": mark("no configuration file was found: the built-in defaults apply"),
    "note-foreign-file": mark(
        "%(file)s belongs to user %(owner)s, who can change what netwatch does"
    ),
    "note-no-networks": mark(
        "no networks are configured: private ranges are one network of class service"
    ),
    "note-empty-networks": mark("the list of networks is empty: every client is outside"),
    "note-no-bans": mark("no bans are configured: the built-in ban '%(ban)s' applies"),
    "note-empty-bans": mark("the list of bans is empty: nothing is forbidden"),
    "note-no-device": mark(
        "exemption of '%(device)s': no device of the inventory has this id, so it never applies"
    ),
    "note-no-set": mark(
        "no set is installed in %(folder)s yet, so builtin means the files"
        " that netwatch ships; netwatch signatures update installs one"
    ),
    "note-set-expired": mark(
        "set %(version)s has expired at %(moment)s: it stays in use, but its publisher does not"
        " vouch for it any more"
    ),
    "note-set-held": mark(
        "set %(version)s is held back: it would have accused %(count)s more devices of the last 30"
        " days (%(problem)s); netwatch signatures update --yes installs it"
    ),
    "note-undecided": mark(
        "%(count)s rules of the installed set match, without a stated reason,"
        " names that most devices contact or that are private, the first at"
        " %(place)s: netwatch signatures update installs a newer set"
    ),
    "note-set-expires": mark("set %(version)s expires soon, at %(moment)s"),
    "did-you-mean": mark("%(reason)s; did you mean '%(similar)s'?"),
}
"""The sentences by code, with the names of their values; the kinds of these values are in
`netwatch.language.language`."""


def sentence(code: str, **values: str) -> str:
    """A sentence in English, as records have it."""
    return TEXTS[code] % values
