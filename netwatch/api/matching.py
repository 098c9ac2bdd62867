"""`match`: which rule of the signatures takes a name, and why."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import overload

from netwatch import config as configuration
from netwatch.api.options import AnyPath, host_name, load_apart, readable_errors, source_list
from netwatch.api.parts import App
from netwatch.api.records import Record
from netwatch.config.replacements import Replacements
from netwatch.core.verdict import Confidence, Role
from netwatch.rules.explain import MatchRecords


@dataclass(frozen=True, slots=True, kw_only=True)
class Match(Record):
    """What the signatures say of a name, as the record of ``netwatch signatures match`` has it. It
    is true where a rule matches; everything but `name` and `why` is None or empty where none does.

    `name` is in its normal spelling, `why` says why the rule matches, or why none does. `grade` is
    the confidence that the rule gives to a name in a handshake, with its reasons.
    """

    __hash__ = Record.__hash__

    name: str
    app: App | None = None
    rule: str | None = None
    role: Role | None = None
    grade: Confidence | None = None
    grade_reasons: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    file: str | None = None
    line: int | None = None
    why: str

    def __bool__(self) -> bool:
        return self.rule is not None


# A string is one name, although it is an iterable of strings.
@overload
def match(  # type: ignore[overload-overlap]
    name: str,
    config: AnyPath | None = None,
    *,
    signatures: AnyPath | Iterable[AnyPath] | None = None,
) -> Match: ...


@overload
def match(
    name: Iterable[str],
    config: AnyPath | None = None,
    *,
    signatures: AnyPath | Iterable[AnyPath] | None = None,
) -> Iterator[Match]: ...


def match(
    name: str | Iterable[str],
    config: AnyPath | None = None,
    *,
    signatures: AnyPath | Iterable[AnyPath] | None = None,
) -> Match | Iterator[Match]:
    """Which rule takes a host name, and why; of many names an iterator of matches, for which the
    signatures are read once.

    The signatures are those of `config`, a configuration that is searched for as by the command
    where none is named. `signatures` take their place: files, folders, or ``builtin``. Raises
    `netwatch.ConfigError` where one of these is wrong.
    """
    with readable_errors():
        catalog = load_apart(
            configuration.load_catalog, config, replacements=Replacements(source_list(signatures))
        )
    records = MatchRecords(catalog)
    if isinstance(name, (str, bytes)) or not isinstance(name, Iterable):
        return _match(records, host_name(name))
    return (_match(records, host_name(each)) for each in name)


def _match(records: MatchRecords, name: str) -> Match:
    return Match.of(records.record(name.encode("utf-8", "surrogateescape")))
