"""The keys of netwatch.yaml, of its outputs, of signature files and of ban files."""

from dataclasses import replace

from docs_generator.outputs import key_table
from netwatch.config.keys import CONFIGURATION_KEYS
from netwatch.core.file_keys import Section
from netwatch.rules.ban_keys import BAN_KEYS, PACK_ENTRY_KEYS, PACK_FILE_KEYS
from netwatch.rules.signature_keys import SIGNATURE_KEYS

_OF_PACKS_ALONE = tuple(key for key in PACK_FILE_KEYS.keys if key not in BAN_KEYS.keys)

SECTIONS: dict[str, tuple[Section, ...]] = {
    **{section.path.removesuffix("[]") or "top": (section,) for section in CONFIGURATION_KEYS},
    "pack": (PACK_ENTRY_KEYS,),
    "bans": (BAN_KEYS,),
    "pack-file": (Section("", _OF_PACKS_ALONE),),
    "signature": SIGNATURE_KEYS,
}
"""The mappings of a part, by its name: the path of the mapping in most cases."""


def keys() -> set[str]:
    """Every key that is described."""
    return {key.name for sections in SECTIONS.values() for each in sections for key in each.keys}


def keys_block(name: str) -> str:
    """The keys of a section of netwatch.yaml, of a signature file or a ban."""
    sections = SECTIONS[name]
    return key_table(
        replace(key, name=f"{section.path}.{key.name}".lstrip(".")) if len(sections) > 1 else key
        for section in sections
        for key in section.keys
    )
