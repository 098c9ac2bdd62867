"""The keys of netwatch.yaml, of its outputs, of signature files and of ban files."""

from dataclasses import replace

from docs_generator.configuration_keys import CONFIGURATION_KEYS
from docs_generator.outputs import key_list
from netwatch.core.file_keys import Section, sections
from netwatch.rules.keys import BanKeys, PackEntryKeys, PackKeys, SignatureKeys

(_OF_PACKS, *_), (_OF_BANS, *_) = sections("", PackKeys), sections("", BanKeys)
_OF_PACKS_ALONE = Section("", _OF_PACKS.keys[len(_OF_BANS.keys) :])

SECTIONS: dict[str, tuple[Section, ...]] = {
    **{section.path.removesuffix("[]") or "top": (section,) for section in CONFIGURATION_KEYS},
    "pack": tuple(sections("", PackEntryKeys)),
    "pack-file": (_OF_PACKS_ALONE,),
    "signature": tuple(sections("", SignatureKeys)),
}
"""The mappings of a part, by its name: the path of the mapping in most cases."""


def keys_block(name: str) -> str:
    """The keys of a section of netwatch.yaml, of a signature file or a ban."""
    sections = SECTIONS[name]
    return key_list(
        replace(key, name=f"{section.path}.{key.name}".lstrip(".")) if len(sections) > 1 else key
        for section in sections
        for key in section.keys
    )
