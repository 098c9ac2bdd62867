"""Makes the Helm chart: `make chart` writes build/netwatch-VERSION.tgz.

It runs in an environment that has helm-python-sdk, the library of Helm with which `helm` itself is
made: no index of packages has that program. With `--render` it prints what would be applied to a
cluster instead.
"""

import argparse
import json
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from helm_python import Chart, HelmError
from helm_python.chart import lint, package

ROOT = Path(__file__).resolve().parents[1]
CHART = ROOT / "packaging" / "container" / "helm"


def main(arguments: Sequence[str] | None = None) -> None:
    """Check the chart, and write or print it. Ends the program with what is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--output", type=Path, default=ROOT / "build")
    parser.add_argument("--render", metavar="JSON", help="print the objects with these values")
    args = parser.parse_args(arguments)
    values: dict[str, Any] = json.loads(args.render or "{}")
    report = lint(CHART, values, strict=True)
    found = [str(each["error"]) for each in report["messages"]]
    # An icon is for a shop.
    if wrong := [text for text in found if "icon is recommended" not in text]:
        sys.exit("\n".join(wrong))
    if args.render is None:
        version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
        args.output.mkdir(parents=True, exist_ok=True)
        print(package(CHART, destination=args.output, version=version, app_version=version))
        return
    try:
        rendered = Chart.load(CHART).render(values, name="netwatch", namespace="netwatch")
    except HelmError as error:
        sys.exit(str(error))
    print("\n---\n".join(rendered.values()))


if __name__ == "__main__":
    main()
