"""``store:`` of netwatch.yaml: where what was seen is kept."""

import re
from dataclasses import replace
from pathlib import Path

from netwatch.core.file_keys import read_section
from netwatch.core.user_yaml import Fields
from netwatch.store.options import StoreOptions, plain_path

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://.+")
_DATABASES = ("postgresql://", "postgres://")


def store_section(fields: Fields, base: Path) -> StoreOptions | None:
    """The store; None without the section. A relative path counts from `base`."""
    section = fields.nested("store", "store")
    if section is None:
        return None
    found = read_section(StoreOptions, section, base)
    path, catalogue = found.path, found.catalogue
    is_url = _URL.fullmatch(path) is not None
    if catalogue and not catalogue.startswith(_DATABASES):
        section.add_problem("catalogue", "'catalogue': expected the URL of a database, like"
                                         " postgresql://user@host/netwatch")  # fmt: skip
    if is_url and not catalogue:
        section.add_problem("path", "'path': a store at a URL needs 'catalogue', the URL of a"
                                    " database like postgresql://user@host/netwatch")  # fmt: skip
    return found if is_url or not path else replace(found, path=plain_path(str(base / path)))
