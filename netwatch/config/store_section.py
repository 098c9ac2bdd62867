"""``store:`` of netwatch.yaml: where what was seen is kept."""

import re
from pathlib import Path

from netwatch.core.user_yaml import Fields
from netwatch.store.options import StoreOptions, plain_path

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://.+")
_DATABASES = ("postgresql://", "postgres://")


def store_section(fields: Fields, base: Path) -> StoreOptions | None:
    """The store; None without the section. A relative path counts from `base`."""
    section = fields.nested("store", "store")
    if section is None:
        return None
    path = section.text("path", required="a folder, or a URL like s3://bucket/netwatch")
    catalogue = section.text("catalogue")
    section.reject_unknown()
    is_url = _URL.fullmatch(path) is not None
    if catalogue and not catalogue.startswith(_DATABASES):
        section.add_problem("catalogue", "'catalogue': expected the URL of a database, like"
                                         " postgresql://user@host/netwatch")  # fmt: skip
    if is_url and not catalogue:
        section.add_problem("path", "'path': a store at a URL needs 'catalogue', the URL of a"
                                    " database like postgresql://user@host/netwatch")  # fmt: skip
    return StoreOptions(path if is_url or not path else plain_path(str(base / path)), catalogue)
