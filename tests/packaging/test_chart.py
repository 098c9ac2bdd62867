"""The Helm chart, by the library of Helm: a sensor on each node, as of kustomize."""

import json
import os
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.paths import ROOT
from support.programs import needs

from netwatch import __version__
from netwatch.config import load

PYTHON = Path(os.environ.get("HELM", "/opt/netwatch-helm")) / "bin/python"
CONTAINER = ROOT / "packaging" / "container"

pytestmark = pytest.mark.skipif(not PYTHON.exists(), reason="`make chart` has not been run")


def chart(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [PYTHON, ROOT / "packaging" / "chart.py", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def rendered(**values: object) -> dict[str, dict[str, Any]]:
    """The objects by their kinds."""
    done = chart("--render", json.dumps(values))
    assert done.returncode == 0, done.stderr
    return {each["kind"]: each for each in yaml.safe_load_all(done.stdout)}


@needs("kustomize")
def test_it_is_the_sensor_of_kustomize(tmp_path: Path) -> None:
    command = ["kustomize", "build", CONTAINER / "kustomize"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    (expected,) = (each for each in yaml.safe_load_all(text) if each["kind"] == "DaemonSet")
    found = rendered()
    pod, other = (each["spec"]["template"]["spec"] for each in (found["DaemonSet"], expected))
    assert pod["containers"][0].pop("imagePullPolicy") == "IfNotPresent"
    other["volumes"][0]["configMap"]["name"] = "netwatch"  # without its checksum
    assert pod == other
    configuration = found["ConfigMap"]["data"]["netwatch.yaml"]
    written = (CONTAINER / "kustomize" / "netwatch.yaml").read_text(encoding="utf-8")
    assert yaml.safe_load(configuration) == yaml.safe_load(written)
    (tmp_path / "netwatch.yaml").write_text(configuration)
    load(str(tmp_path / "netwatch.yaml"))


def test_values_are_where_they_belong() -> None:
    found = rendered(
        interface="ens192", secret="outputs", hostPath="/var/lib/netwatch",
        nodeSelector={"edge": "true"}, tolerations=[{"operator": "Exists"}],
    )["DaemonSet"]["spec"]["template"]  # fmt: skip
    pod = found["spec"]
    volumes = {each.pop("name"): each for each in pod["volumes"]}
    assert volumes["secrets"] == {"secret": {"secretName": "outputs", "defaultMode": 0o440}}
    assert volumes["state"]["hostPath"]["path"] == "/var/lib/netwatch"
    mounts = {each["name"]: each["mountPath"] for each in pod["containers"][0]["volumeMounts"]}
    assert mounts["secrets"] == "/run/secrets"
    assert "ens192" in pod["containers"][0]["args"]
    assert (pod["nodeSelector"], pod["tolerations"]) == ({"edge": "true"}, [{"operator": "Exists"}])


def test_a_changed_configuration_replaces_the_pods() -> None:
    def checksum(**values: object) -> str:
        template = rendered(**values)["DaemonSet"]["spec"]["template"]
        return str(template["metadata"]["annotations"]["checksum/config"])

    assert checksum() != checksum(config={"search_suffixes": ["corp.example"]})


@pytest.mark.parametrize(
    "values", [{"interfac": "eth1"}, {"interface": "eth0 eth1"}, {"image": {"name": ""}}]
)
def test_a_wrong_value_is_refused(values: dict[str, object]) -> None:
    done = chart("--render", json.dumps(values))
    assert done.returncode == 1
    assert "schema" in done.stderr


def test_the_archive_has_the_version(tmp_path: Path) -> None:
    assert chart("--output", tmp_path).returncode == 0
    with tarfile.open(tmp_path / f"netwatch-{__version__}.tgz") as archive:
        file = archive.extractfile("netwatch/Chart.yaml")
        assert file is not None
        described = yaml.safe_load(file.read())
    assert described["version"] == described["appVersion"] == __version__
