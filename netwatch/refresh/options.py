"""``devices: sources`` in netwatch.yaml: where the inventory is refreshed from."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, make_dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

from netwatch.core.file_keys import Key, Kind, Section, beside, key, mappings, read_keys, sections
from netwatch.core.user_yaml import Fields, YamlMapping, YamlSequence
from netwatch.core.value_kinds import DURATION, PATH, TEXT, choice, words_of
from netwatch.inventory.directory_export import DEFAULT_OWNER as DIRECTORY_OWNER
from netwatch.inventory.inventory_columns import HEADERS
from netwatch.inventory.netbox_objects import DEFAULT_OWNER as NETBOX_OWNER
from netwatch.inventory.netbox_objects import KINDS
from netwatch.inventory.networks import CLASSES
from netwatch.inventory.registered import ATTRIBUTES, ClassRule, pattern_of
from netwatch.sinks.http_client import URL, HttpOptions
from netwatch.sinks.secrets import SECRET, Secret

MAX_SOURCES = 64
"""Sources of one inventory."""

_NO_FILTERS = frozenset(
    {"limit", "offset", "start", "ordering", "fields", "omit", "exclude", "brief", "format"}
)


def _texts(entry: Fields, name: str) -> list[str]:
    """A text, or the texts of a list."""
    if isinstance(entry.mapping.get(name), YamlSequence):
        return [text for _, text in entry.texts(name)]
    if isinstance(entry.mapping.get(name), YamlMapping):
        entry.value(name)
        entry.add_mismatch(name, "a text, or a list of texts")
        return []
    text = entry.text(name)
    return [text] if text else []


def _read_patterns(entry: Fields, declared: Key, _: Path) -> tuple[str, ...]:
    name = declared.name
    return tuple(pattern_of(name, text) for text in _texts(entry, name))


_ONE_OR_MORE = {"type": ["string", "number", "array"], "items": {"type": "string"}}
_PATTERNS = Kind("text or list", _ONE_OR_MORE, _read_patterns, empty=())

_ClassKeys: Any = make_dataclass(
    "_ClassKeys",
    [
        (
            "class_",
            str,
            key(
                choice(CLASSES),
                "`service`, `personal`, `guest` or `infrastructure`",
                required=f"one of {', '.join(CLASSES)}",
            ),
        ),
        *(
            (name, tuple[str, ...], key(_PATTERNS, meaning, shown="any"))
            for name, meaning in ATTRIBUTES.items()
        ),
    ],
)


def _rule(found: Any, _: Fields, __: Path) -> ClassRule | None:
    wanted = tuple(
        (attribute, getattr(found, attribute))
        for attribute in ATTRIBUTES
        if getattr(found, attribute)
    )
    return ClassRule(found.class_, wanted) if found.class_ else None


_RULES = mappings(_ClassKeys, "a rule of classes", _rule)


def _read_filters(entry: Fields, declared: Key, _: Path) -> tuple[tuple[str, str], ...] | None:
    section = entry.nested(declared.name, declared.name)
    if section is None:
        return None
    found: list[tuple[str, str]] = []
    for name in section.mapping:
        if name in _NO_FILTERS:
            section.add_problem(name, f"'{name}': expected a filter, which this is not")
            section.value(name)
        else:
            found += [(name, text) for text in _texts(section, name)]
    return tuple(found)


_FILTERS = Kind(
    "mapping", {"type": "object", "additionalProperties": _ONE_OR_MORE}, _read_filters, empty=()
)


@dataclass(frozen=True, slots=True)
class FileSource:
    """A file."""

    path: Path = key(PATH, "the file", required="the path of the file")

    @property
    def name(self) -> str:
        """The source, as named in messages."""
        return str(self.path)

    def checked(self, _: Fields) -> Self:
        """Build the source; its keys do not depend on one another."""
        return self


@dataclass(frozen=True, slots=True)
class DirectorySource(FileSource):
    """An export from a directory."""

    owner: str = key(TEXT, "the attribute that has the owner of a computer", DIRECTORY_OWNER)
    rules: tuple[ClassRule, ...] = key(_RULES, "which devices have which class", name="classes")


@dataclass(frozen=True, slots=True)
class CsvSource(FileSource):
    """An asset register; `headers` are the names of its columns."""

    headers: Mapping[str, str] = key(
        HEADERS, "what its columns are called, as above", name="columns", shown="their own names"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class NetboxHttp(HttpOptions):
    """How NetBox is queried."""

    timeout: float = key(DURATION, "limit for one request", "60s")


@dataclass(frozen=True, slots=True, kw_only=True)
class NetboxSource:
    """A NetBox. `filters` are pairs for the query, `kinds` are names in `KINDS`."""

    url: str = key(URL, "its address, without `/api`", required="a URL")
    token: Secret | None = key(SECRET, "a token that may read; `{file: …}` or `{env: …}`")
    kinds: tuple[str, ...] = key(
        words_of(KINDS), " and ".join(f"`{kind}`" for kind in KINDS), name="objects",
        shown="`[devices]`",
    )  # fmt: skip
    filters: tuple[tuple[str, str], ...] = key(
        _FILTERS,
        "filters of the list of devices, as its API has them, such as "
        "`{status: active, site: [hq, annex]}`",
        name="filter",
    )
    owner: str = key(
        TEXT, "the field of a device (`tenant`, `custom_fields.NAME`) that has its owner",
        NETBOX_OWNER,
    )  # fmt: skip
    rules: tuple[ClassRule, ...] = key(_RULES, "which devices have which class", name="classes")
    http: NetboxHttp = key(beside(NetboxHttp), "")

    @property
    def name(self) -> str:
        """The source, as named in messages."""
        return self.url

    def checked(self, fields: Fields) -> Self:
        """Build the source, checked as a whole."""
        url = self.url
        if "?" in url or "#" in url or url.rstrip("/").endswith("/api"):
            fields.add_mismatch("url", "the address of NetBox, like https://netbox.example")
        http = self.http.checked(fields, url, "token" if self.token else "")
        kinds = tuple(dict.fromkeys(self.kinds)) or ("devices",)
        return replace(self, http=http, kinds=kinds)


Source = FileSource | NetboxSource

TYPES: Mapping[str, tuple[type[Source], str]] = MappingProxyType(
    {
        "netbox": (NetboxSource, "devices of NetBox, over its REST API"),
        "directory": (
            DirectorySource,
            "computers of a directory: LDIF, or CSV of `csvde` or `Get-ADComputer`",
        ),
        "csv": (CsvSource, "a CSV file of an asset register"),
    }
)
"""The types of sources: the declaration of each type's keys, and a description."""


@dataclass(slots=True, eq=False, repr=False)
class _TypeKeys:
    type: str = key(
        choice(TYPES),
        "; ".join(f"`{name}`: {text}" for name, (_, text) in TYPES.items()),
        required=f"one of {', '.join(TYPES)}",
    )


def source_sections(path: str, type_name: str) -> Iterator[Section]:
    """The keys of sources of a type, whose mappings are at `path`."""
    return sections(path, _TypeKeys, TYPES[type_name][0])


@dataclass(frozen=True, slots=True)
class RefreshOptions:
    """The sources, and the inventory that is written: `path` is a folder of dated files if
    `is_folder`; their days are in `timezone`. Rows that ended longer ago than `keep` (ns) are left
    out; None for no limit."""

    sources: tuple[Source, ...]
    path: Path
    is_folder: bool
    timezone: str
    keep: int | None


def check_refresh(options: RefreshOptions, devices: Fields) -> RefreshOptions | None:
    """The options; None if there is no source, or if keys of ``devices`` are inconsistent, which is
    noted."""
    before = len(devices.problems.found)
    for name in ("sources", "keep"):
        if devices.is_set(name) and not devices.text("inventory"):
            devices.add_problem(name, f"'{name}': expected 'inventory' next to it, found none")
    if devices.is_set("keep") and not devices.is_set("sources"):
        devices.add_problem("keep", "'keep': expected 'sources' next to it, found none")
    if devices.is_set("sources") and devices.is_set("columns"):
        devices.add_problem("columns", "'columns': expected it in a source of type csv")
    if len(options.sources) > MAX_SOURCES:
        found = f"expected at most {MAX_SOURCES}, found {len(options.sources)}"
        devices.add_problem("sources", f"'sources': {found}")
    files = {source.path for source in options.sources if isinstance(source, FileSource)}
    if options.path in files:
        devices.add_problem(
            "sources", f"'sources': {options.path} is the inventory that is written"
        )
    return options if options.sources and len(devices.problems.found) == before else None


def read_sources(devices: Fields, base: Path) -> tuple[Source, ...]:
    """The key ``sources`` of ``devices``. Relative paths are relative to the folder `base`."""
    return tuple(devices.build_each("sources", lambda each: _source(each, base), "a source"))


def _source(fields: Fields, base: Path) -> Source | None:
    kind = read_keys(_TypeKeys, fields, base).type
    if not kind:
        return None
    source = read_keys(TYPES[kind][0], fields, base).checked(fields)
    fields.reject_unknown()
    return source
