"""The licence is the same wherever it is stated; NOTICE names what is not ours."""

import json
import re
import tomllib

from support.packaging_modules import packaging_modules
from support.paths import ROOT

from netwatch.rules.grade import SOURCES

LICENCE = "MIT OR Apache-2.0"

NOTICE = (ROOT / "NOTICE").read_text(encoding="utf-8")


def test_the_licence_is_stated_alike() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["license"] == LICENCE
    for name in project["license-files"]:
        assert (ROOT / name).is_file()
    assert LICENCE in NOTICE
    role = ROOT / "packaging/ansible/roles/netwatch/meta/main.yml"
    assert f"license: {LICENCE}" in role.read_text(encoding="utf-8")
    (wheels,) = packaging_modules("wheels")
    assert LICENCE in json.dumps(wheels.BUNDLED)


def test_every_source_of_names_has_its_licence_in_the_notice() -> None:
    stated = re.findall(r"^    ([a-z0-9-]+) {2,}\S", NOTICE, re.MULTILINE)
    assert stated == sorted(SOURCES)


def test_scapy_is_imported_where_the_notice_says() -> None:
    """Its licence is another one."""
    importing = {
        path.relative_to(ROOT / "netwatch").as_posix()
        for path in (ROOT / "netwatch").rglob("*.py")
        if re.search(r"^\s*(from|import) scapy\b", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert importing
    assert {path for path in importing if not path.startswith("verify/")} == {
        "capture/scapy_source.py"
    }
    for name in ("netwatch/verify", "netwatch/capture/scapy_source.py"):
        assert name in NOTICE
