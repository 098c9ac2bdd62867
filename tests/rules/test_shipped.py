"""The shipped signatures as they are: sound, tested by their own examples, and held
against the evidence they were drawn from where that is at hand."""

import re
from typing import Any

import pytest
import yaml
from support.paths import ROOT, SHARED

from netwatch.core.names import normalise_name
from netwatch.rules.catalog import Catalog
from netwatch.rules.lint import lint
from netwatch.rules.signature import Signature

SIGNATURES = ROOT / "signatures"
EVIDENCE = SHARED / "research" / "signature-evidence.yaml"
ROLES = {"app-exclusive": "exclusive", "vendor-shared": "vendor", "third-party-embed": "embed"}
HOST = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)*\.[a-z-]+\Z")


@pytest.fixture(scope="module")
def evidence() -> Any:
    if not EVIDENCE.is_file():
        pytest.skip("the evidence is not at hand")
    return yaml.load(EVIDENCE.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def test_all_shipped_files_are_clean(shipped_catalog: Catalog) -> None:
    assert [str(problem) for problem in lint(shipped_catalog)] == []


def test_every_app_has_examples_of_each_role(shipped_catalog: Catalog) -> None:
    files = (SIGNATURES / "apps").glob("*.yaml")
    assert sorted(shipped_catalog.signatures) == sorted(file.stem for file in files)
    for signature in shipped_catalog.signatures.values():
        assert _sampled(shipped_catalog, signature) == {rule.role for rule in signature.rules}
        assert sum(example.wanted for example in signature.examples) >= 3
        assert any(not example.wanted for example in signature.examples)


def _sampled(catalog: Catalog, signature: Signature) -> set[str]:
    matches = (catalog.match(each.name) for each in signature.examples if each.wanted)
    return {match.role for match in matches if match}


@pytest.mark.parametrize(
    ("name", "app", "role"),
    [
        ("api16-normal.tiktokv.com", "tiktok", "exclusive"),
        ("www.tiktok.com", "tiktok", "exclusive"),
        ("v16-webapp.tiktok.com", "tiktok", "embed"),
        ("p16-tiktokcdn-com.akamaized.net", "tiktok", "exclusive"),
        ("tiktokcdn.com.c.bytefcdn-oversea.com", "tiktok", "exclusive"),
        ("p16-tiktok-sign-sg.ibyteimg.com", "tiktok", "embed"),
        ("analytics.tiktok.com", "tiktok", "embed"),
        ("seller.tiktok.com", "tiktok-shop", "exclusive"),
        ("mon.byteoversea.com", "bytedance-infra", "embed"),
        ("www.byteoversea.com", "bytedance-infra", "vendor"),
        ("internal-api-lark-api.feishu.cn", "lark", "exclusive"),
        ("short.weixin.qq.com", "wechat", "exclusive"),
        ("mail.qq.com", "qq", "vendor"),
        ("img.kwcdn.com", "temu", "embed"),
        ("e16.whatsapp.net", "whatsapp", "exclusive"),
        ("www.kaspersky.com", "kaspersky", "vendor"),
    ],
)
def test_well_known_names(shipped_catalog: Catalog, name: str, app: str, role: str) -> None:
    match = shipped_catalog.match(name)
    assert match
    assert (match.app.id, match.role) == (app, role)


@pytest.mark.parametrize(
    ("name", "grade", "embed_reachable"),
    [
        ("api16-normal.tiktokv.com", "confirmed", False),
        ("www.tiktok.com", "probable", True),
        ("analytics.tiktok.com", "possible", False),
        ("short.weixin.qq.com", "confirmed", False),
        ("api16-access-sg.pangle.io", "possible", False),
    ],
)
def test_well_known_grades(
    shipped_catalog: Catalog, name: str, grade: str, embed_reachable: bool
) -> None:
    match = shipped_catalog.match(name)
    assert match
    assert (match.grade, match.embed_reachable) == (grade, embed_reachable)


def test_every_name_of_the_evidence_goes_to_its_vendor(
    shipped_catalog: Catalog, evidence: Any
) -> None:
    apps = shipped_catalog.apps()
    for app in evidence["apps"]:
        for domain in app["domains"]:
            if domain["confidence"] == "low" or domain["role"] == "shared-cdn":
                continue
            name = re.sub(r"\[.*\]", "1", domain["name"].replace("*", "x"))
            match = shipped_catalog.match(name)
            assert match, name
            assert match.app.vendor == apps[app["id"]].vendor or match.role == "embed", name
            if domain["role"] == "app-exclusive":
                assert match.role in ("exclusive", "embed"), name


def test_what_the_evidence_says_of_callers_and_owners_is_marked(
    shipped_catalog: Catalog, evidence: Any
) -> None:
    """A name that others reach without the app is never confirmed, and neither is one whose owner
    nobody confirmed and that one family of sources lists."""
    wrong = []
    for app in evidence["apps"]:
        for domain in app["domains"]:
            name = re.sub(r"\[.*\]", "1", domain["name"].replace("*", "x"))
            match = shipped_catalog.match(name)
            if match is None or match.grade != "confirmed":
                continue
            if domain.get("embed_reachable") or not domain["verified"]:
                wrong.append((name, match.rule))
    assert wrong == []


def test_a_shared_zone_of_the_evidence_is_no_app(shipped_catalog: Catalog, evidence: Any) -> None:
    for app in evidence["apps"]:
        for domain in app["domains"]:
            if domain["role"] == "shared-cdn":
                assert shipped_catalog.match(domain["name"]) is None


def test_no_trap_shows_its_app(shipped_catalog: Catalog, evidence: Any) -> None:
    """Names that are genuine hosts of the app, brought as exceptions, are no traps."""
    genuine = {"cname-exception", "search-suffix"}
    names = {domain["name"] for app in evidence["apps"] for domain in app["domains"]}
    tried = 0
    for trap in evidence["traps"]:
        if trap["id"] in genuine:
            continue
        for text in [*trap.get("examples", ()), *trap.get("synthetic", ())]:
            name = normalise_name(text.partition(" ")[0].encode())
            if not HOST.match(name) or (trap["kind"] == "shared-zone" and name in names):
                continue
            tried += 1
            match = shipped_catalog.match(name)
            if match and match.role == "exclusive":
                expected = f"{trap['id']}: {name}"
                assert name in names, expected
                assert match.app.id not in trap["applies_to"], expected
    assert tried > 100


def test_the_evidence_for_exceptions_holds(shipped_catalog: Catalog, evidence: Any) -> None:
    (trap,) = (trap for trap in evidence["traps"] if trap["id"] == "cname-exception")
    for name in trap["examples"]:
        match = shipped_catalog.match(name)
        assert match
        assert (match.app.id, match.role) == ("tiktok", "exclusive")
