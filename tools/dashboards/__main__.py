"""``python -m dashboards [--check]``: write the files of the dashboards, or compare them."""

import argparse
import json
import sys
from pathlib import Path

from dashboards.grafana import dashboard
from dashboards.kibana import saved_objects

ROOT = Path(__file__).resolve().parents[2]


def files() -> dict[str, str]:
    """The text of each file, by its path below the project."""
    grafana = json.dumps(dashboard(), indent=2)
    kibana = "".join(f"{json.dumps(each)}\n" for each in saved_objects())
    return {
        "docs/siem/grafana/netwatch.json": f"{grafana}\n",
        "docs/siem/elastic/dashboard.ndjson": kibana,
    }


def main() -> int:
    """Write, or with ``--check`` compare; 1 if a file was out of date."""
    parser = argparse.ArgumentParser(prog="dashboards", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 if out of date")
    check = parser.parse_args().check
    stale = []
    for name, text in files().items():
        path = ROOT / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
            if not check:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
    for name in stale:
        print(f"{name}: {'out of date, run: make docs-tables' if check else 'updated'}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
