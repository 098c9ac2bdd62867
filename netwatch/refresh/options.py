"""``devices: sources`` of netwatch.yaml: where the inventory is refreshed from."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from netwatch.core.file_keys import REQUIRED, Section, row
from netwatch.core.user_yaml import Fields, YamlMapping, YamlSequence, describe
from netwatch.inventory.class_rules import ATTRIBUTES, ClassRule, pattern_of
from netwatch.inventory.directory_export import DEFAULT_OWNER as DIRECTORY_OWNER
from netwatch.inventory.inventory_columns import COLUMNS
from netwatch.inventory.netbox_objects import DEFAULT_OWNER as NETBOX_OWNER
from netwatch.inventory.netbox_objects import KINDS
from netwatch.inventory.networks import CLASSES
from netwatch.sinks.http_client import HTTP_OPTIONS, HttpOptions, read_http_options
from netwatch.sinks.options import Option, read_duration
from netwatch.sinks.secrets import Secret, read_secret

MAX_SOURCES = 64
"""Sources of one inventory."""

_NO_FILTERS = frozenset(
    {"limit", "offset", "start", "ordering", "fields", "omit", "exclude", "brief", "format"}
)

REQUEST_TIMEOUT = 60.0
"""How long one request to a NetBox may take unless the configuration says otherwise, in s."""

TYPES: Mapping[str, str] = MappingProxyType(
    {
        "netbox": "devices of NetBox, over its REST API",
        "directory": "computers of a directory: LDIF, or CSV of `csvde` or `Get-ADComputer`",
        "csv": "a CSV file of an asset register",
    }
)
"""The types of sources, each with a description."""


def _as_note(option: Option) -> str:
    """The description of an option of outputs, as keys are described."""
    first, rest = option.description[:1], option.description[1:]
    return f"{first.lower()}{rest}".removesuffix(".")


SOURCE_KEYS = Section(
    "devices.sources[]",
    (
        row("type", "word", REQUIRED, "; ".join(f"`{k}`: {text}" for k, text in TYPES.items())),
        row("path", "path", "none", "the file of a `directory` or `csv`; required there"),
        row(
            "columns", "mapping", "their own names", "`csv`: what its columns are called, as above"
        ),
        row("url", "URL", "none", "`netbox`: its address, without `/api`; required there"),
        row(
            "token", "secret", "none", "`netbox`: a token that may read; `{file: …}` or `{env: …}`"
        ),
        row("objects", "list of words", "`[devices]`", "`netbox`: `devices`, `virtual_machines`"),
        row(
            "filter",
            "mapping",
            "none",
            "`netbox`: filters of the list of devices, as its API has them, such as "
            "`{status: active, site: [hq, annex]}`",
        ),
        row(
            "owner",
            "text",
            f"`{NETBOX_OWNER}`, `{DIRECTORY_OWNER}`",
            "the field of a NetBox device (`tenant`, `custom_fields.NAME`), or the attribute of a "
            "directory, that has the owner",
        ),
        row("classes", "list of mappings", "none", "which devices have which class"),
        row("timeout", "duration", f"{REQUEST_TIMEOUT:.0f}s", "`netbox`: limit for one request"),
        *(
            row(each.key, each.kind, each.default or "none", f"`netbox`: {_as_note(each)}")
            for each in HTTP_OPTIONS
            if "." not in each.key and each.key != "timeout"
        ),
        row(
            "tls", "mapping", "none", "`netbox`: `ca`, `cert`, `key`, `server_name`, as of outputs"
        ),
    ),
)
"""The keys of a source."""

CLASS_KEYS = Section(
    "devices.sources[].classes[]",
    (
        row("class", "word", REQUIRED, "`service`, `personal`, `guest` or `infrastructure`"),
        *(row(name, "text or list", "any", text) for name, text in ATTRIBUTES.items()),
    ),
)
"""The keys of a rule of classes."""


@dataclass(frozen=True, slots=True)
class FileSource:
    """A file. `kind` is ``directory`` or ``csv``, `headers` are what the columns of the latter are
    called, `rules` and `owner` are for the former."""

    kind: str
    path: Path
    headers: Mapping[str, str] = field(default_factory=dict)
    rules: tuple[ClassRule, ...] = ()
    owner: str = DIRECTORY_OWNER

    @property
    def name(self) -> str:
        """The source in messages."""
        return str(self.path)


@dataclass(frozen=True, slots=True)
class NetboxSource:
    """A NetBox. `filters` are pairs of the query, `kinds` names in `KINDS`."""

    http: HttpOptions
    token: Secret | None
    kinds: tuple[str, ...]
    filters: tuple[tuple[str, str], ...]
    rules: tuple[ClassRule, ...]
    owner: str

    @property
    def name(self) -> str:
        """The source in messages."""
        return self.http.url


Source = FileSource | NetboxSource


@dataclass(frozen=True, slots=True)
class RefreshOptions:
    """The sources, and the inventory that is written: `path` is a folder of dated files if
    `is_folder`, whose days are those of `timezone`. Rows that ended longer ago than `keep` (ns) are
    left out; None for no limit."""

    sources: tuple[Source, ...]
    path: Path
    is_folder: bool
    timezone: str
    keep: int | None


def read_refresh_options(devices: Fields, base: Path, timezone: str) -> RefreshOptions | None:
    """The keys ``sources`` and ``keep`` of ``devices``; None where there is no source or there are
    mistakes, which are noted. Relative paths count from the folder `base`."""
    before = len(devices.problems.found)
    sources: list[Source] = devices.build_each(
        "sources", lambda each: _source(each, base), "a source"
    )
    keep = round(read_duration(devices, "keep", 0) * 1_000_000_000) or None
    path = devices.text("inventory")
    for key in ("sources", "keep"):
        if devices.has(key) and not path:
            devices.add_problem(key, f"'{key}': expected 'inventory' beside it, found none")
    if devices.has("keep") and not devices.has("sources"):
        devices.add_problem("keep", "'keep': expected 'sources' beside it, found none")
    if devices.has("sources") and devices.has("columns"):
        devices.add_problem("columns", "'columns': expected it in a source of type csv")
    if len(sources) > MAX_SOURCES:
        expected = f"at most {MAX_SOURCES}"
        devices.add_problem("sources", f"'sources': expected {expected}, found {len(sources)}")
    place = base / path
    targets = {each.path for each in sources if isinstance(each, FileSource)}
    if place in targets:
        devices.add_problem("sources", f"'sources': {place} is the inventory that is written")
    if len(devices.problems.found) > before or not sources:
        return None
    is_folder = path.endswith("/") or place.is_dir()
    return RefreshOptions(tuple(sources), place, is_folder, timezone, keep)


def _source(fields: Fields, base: Path) -> Source | None:
    kind = fields.choice("type", TYPES, "", required=f"one of {', '.join(TYPES)}")
    if kind == "netbox":
        source: Source | None = _netbox(fields, base)
    elif kind:
        source = _file(fields, base, kind)
    else:
        return None
    fields.reject_unknown()
    return source


def _file(fields: Fields, base: Path, kind: str) -> FileSource:
    path = fields.text("path", required="the path of the file")
    if kind == "directory":
        return FileSource(
            kind,
            base / path,
            rules=_rules(fields),
            owner=fields.text("owner", DIRECTORY_OWNER),
        )
    section = fields.nested("columns", "columns")
    headers: dict[str, str] = {}
    if section is not None:
        written = {column: section.text(column) for column in COLUMNS}
        headers = {column: header for column, header in written.items() if header}
        section.reject_unknown()
    return FileSource(kind, base / path, headers)


def _netbox(fields: Fields, base: Path) -> NetboxSource:
    token = read_secret(fields, "token", base)
    http = read_http_options(fields, base, "token" if token else "")
    if "?" in http.url or "#" in http.url or http.url.rstrip("/").endswith("/api"):
        fields.add_mismatch("url", "the address of NetBox, like https://netbox.example")
    if not fields.has("timeout"):
        http = replace(http, timeout=REQUEST_TIMEOUT)
    kinds = []
    for line, word in fields.texts("objects"):
        if word not in KINDS:
            expected = f"one of {', '.join(KINDS)}"
            message = f"'objects': expected {expected}, found {describe(word)}"
            fields.problems.add(fields.file, line, message)
        elif word not in kinds:
            kinds.append(word)
    return NetboxSource(
        http,
        token,
        tuple(kinds) or ("devices",),
        _filters(fields),
        _rules(fields),
        fields.text("owner", NETBOX_OWNER),
    )


def _filters(fields: Fields) -> tuple[tuple[str, str], ...]:
    section = fields.nested("filter", "filter")
    if section is None:
        return ()
    found: list[tuple[str, str]] = []
    for name in section.mapping:
        if name in _NO_FILTERS:
            section.add_problem(name, f"'{name}': expected a filter, which this is not")
            section.value(name)
        else:
            found += [(name, text) for text in _texts(section, name)]
    return tuple(found)


def _rules(fields: Fields) -> tuple[ClassRule, ...]:
    return tuple(fields.build_each("classes", _rule, "a rule of classes"))


def _rule(fields: Fields) -> ClassRule | None:
    kind = fields.choice("class", CLASSES, None, required=f"one of {', '.join(CLASSES)}")
    wanted = {
        name: tuple(pattern_of(name, text) for text in _texts(fields, name)) for name in ATTRIBUTES
    }
    fields.reject_unknown()
    given = tuple((name, patterns) for name, patterns in wanted.items() if patterns)
    return ClassRule(kind, given) if kind else None


def _texts(fields: Fields, key: str) -> list[str]:
    """A text, or each text of a list."""
    if isinstance(fields.mapping.get(key), YamlSequence):
        return [text for _, text in fields.texts(key)]
    if isinstance(fields.mapping.get(key), YamlMapping):
        fields.value(key)
        fields.add_mismatch(key, "a text, or a list of texts")
        return []
    text = fields.text(key)
    return [text] if text else []
