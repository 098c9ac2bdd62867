"""``python -m docs_generator [--check]``: write all generated parts and files, or verify them."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from docs_generator import governance, schemas
from docs_generator.blocks import BLOCKS
from docs_generator.pages import ROOT, documents, filled


def main() -> int:
    """Write, or with ``--check`` compare; 1 if a page was out of date."""
    parser = argparse.ArgumentParser(prog="docs_generator", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 if out of date")
    args = parser.parse_args()
    stale = []
    for page, fresh in _files():
        if not page.exists() or page.read_text(encoding="utf-8") != fresh:
            stale.append(str(page.relative_to(ROOT)))
            if not args.check:
                page.parent.mkdir(parents=True, exist_ok=True)
                page.write_text(fresh, encoding="utf-8")
    verb = "out of date, run 'make docs-tables'" if args.check else "updated"
    for name in stale:
        print(f"{name}: {verb}")
    return 1 if args.check and stale else 0


def _files() -> Iterator[tuple[Path, str]]:
    """Each file with its text, the schemas before the pages that are made of them."""
    for name, text in schemas.texts().items():
        yield Path(name), text
    yield from governance.samples()
    for page in documents():
        try:
            yield page, filled(page.read_text(encoding="utf-8"), BLOCKS)
        except ValueError as error:
            sys.exit(f"{page.relative_to(ROOT)}: {error}")


if __name__ == "__main__":
    sys.exit(main())
