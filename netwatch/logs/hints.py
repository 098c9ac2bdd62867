"""What a file is that looks like a log and is not read, and what to do about it.

A hint is a sentence without the path. It says nothing of files that only have JSON or XML in common
with logs.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

MAX_OBJECTS = 20
"""Objects of JSON in several lines that are looked at."""

Name = Callable[[Sequence[dict[str, object]]], str]
"""The title of the format whose records some objects are, empty if that is none."""

_CEF = re.compile(rb"\b(?:CEF:\s?\d|LEEF:\d\.\d)\|([ -{}~]{1,64})\|([ -{}~]{1,64})\|")
_WINDOWS = b"schemas.microsoft.com/win/2004/08/events/event"
_PROVIDERS = ("Provider", "ProviderName", "SourceName", "provider_name")
_STRATA = ("LogType", "log_type", "TimeGenerated", "time_generated")


def hint_of(
    head: bytes, lines: Sequence[bytes], objects: Sequence[dict[str, object] | None], name: Name
) -> str:
    """What the head of a file is; empty if nothing is known of it. `objects` are its lines that
    are JSON."""
    found = [each for each in objects if each is not None]
    if not found and head.lstrip()[:1] in (b"{", b"["):
        return _spread(head, name)
    if any(map(_is_strata, found)):
        return (
            "is a log of Palo Alto Networks in JSON (Strata Logging Service), which is not read:"
            " forward it in the format CSV, or let the firewall send syslog"
        )
    if cef := next(filter(None, map(_CEF.search, lines)), None):
        vendor, product = (part.decode("ascii", "replace") for part in cef.groups())
        return (
            f"has records of {vendor} {product} in CEF or LEEF, which is not read: send them in the"
            " product's default format instead"
        )
    if any(_WINDOWS in line for line in lines) or any(map(_is_windows, found)):
        return events_hint("")
    return ""


def events_hint(provider: str) -> str:
    """The hint for events of Windows that say nothing of names."""
    whose = f" of {provider}" if provider else ""
    return (
        f"has events of Windows{whose}, but none with DNS queries: those are event 22 of Sysmon,"
        " and the analytical events of the DNS server"
    )


def provider_of(values: Mapping[str, object]) -> str:
    """The provider of an event of Windows, empty if this is none."""
    event = values.get("Event", values)
    system = event.get("System") if isinstance(event, Mapping) else None
    winlog = values.get("winlog")
    for place in (system, winlog, values):
        if not isinstance(place, Mapping):
            continue
        for key in _PROVIDERS:
            provider = place.get(key)
            if isinstance(provider, Mapping):
                attributes = provider.get("#attributes", provider)
                provider = attributes.get("Name") if isinstance(attributes, Mapping) else None
            if isinstance(provider, str):
                return provider
    return ""


def _spread(head: bytes, name: Name) -> str:
    """The hint for objects of JSON that are not one a line."""
    text = head.decode("utf-8", "replace").lstrip()
    is_list = text.startswith("[")
    decoder, found = json.JSONDecoder(), list[dict[str, object]]()
    text = text[1:] if is_list else text
    with suppress(ValueError, RecursionError):
        while len(found) < MAX_OBJECTS and (text := text.lstrip(" \t\r\n,")):
            value, end = decoder.raw_decode(text)
            if not isinstance(value, dict):
                break
            found.append(value)
            text = text[end:]
    title = name(found) if found else ""
    if not title:
        return ""
    what, program = ("a list of", ".[]") if is_list else ("pretty-printed", ".")
    return (
        f"looks like {what} records of {title}, and is read with one object a line:"
        f" jq -c '{program}' makes such lines"
    )


def _is_strata(found: Mapping[str, object]) -> bool:
    vendor = found.get("VendorName", found.get("vendor_name"))
    return vendor == "Palo Alto Networks" and any(key in found for key in _STRATA)


def _is_windows(found: Mapping[str, object]) -> bool:
    is_event = "winlog" in found or "Event" in found or "EventID" in found or "EventId" in found
    return is_event and bool(provider_of(found))
