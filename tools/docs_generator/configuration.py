"""The keys of netwatch.yaml, of its outputs, of signature files and of ban files."""

from docs_generator.data import rows
from docs_generator.markdown import code, table
from netwatch.config.keys import CONFIGURATION_KEYS
from netwatch.core.file_keys import Section
from netwatch.rules.ban_keys import BAN_KEYS, PACK_ENTRY_KEYS, PACK_FILE_KEYS
from netwatch.rules.signature_keys import SIGNATURE_KEYS

_OF_PACKS_ALONE = tuple(key for key in PACK_FILE_KEYS.keys if key not in BAN_KEYS.keys)

SECTIONS: dict[str, tuple[Section, ...]] = {
    **{section.path.removesuffix("[]") or "top": (section,) for section in CONFIGURATION_KEYS},
    "pack": (PACK_ENTRY_KEYS,),
    "bans": (BAN_KEYS,),
    "pack-file": (Section("", "a pack", _OF_PACKS_ALONE),),
    "signature": SIGNATURE_KEYS,
}
"""The mappings of a part, by its name: the path of the mapping in most cases."""


def keys() -> set[str]:
    """Every key that is described."""
    found = {key.name for sections in SECTIONS.values() for each in sections for key in each.keys}
    spelled = {key for part in rows("outputs").values() for row in part for key in _split(row[0])}
    return found | {part for key in spelled for part in key.split(".")}


def output_types() -> set[str]:
    """The types of outputs that are described."""
    return set(rows("outputs")) - {"tls"}


def keys_block(name: str) -> str:
    """The keys of a section of netwatch.yaml, of a signature file or a ban."""
    sections = SECTIONS[name]
    return _table(
        [
            [f"{section.path}.{key.name}" if len(sections) > 1 and section.path else key.name,
             key.type, key.default, key.description]
            for section in sections
            for key in section.keys
        ]
    )  # fmt: skip


def output_block(kind: str) -> str:
    """The keys of a type of output, or of ``tls``."""
    return _table(rows("outputs")[kind])


def _table(part: list[list[str]]) -> str:
    return table(
        ("key", "type", "default", "meaning"),
        ([code(*_split(row[0])), *row[1:]] for row in part),
    )


def _split(keys: str) -> list[str]:
    return [key.strip() for key in keys.split(",")]
