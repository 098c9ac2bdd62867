"""The package for Grafana and Prometheus: Prometheus fires its alerts when it should, and Grafana's
own types have its dashboard."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from siem_packages import grafana
from support.programs import search_path
from support.siem_imports import type_problems

FILES = grafana.files()
DASHBOARD = json.loads(FILES["netwatch/netwatch.json"])
TYPE = ("@grafana/schema", "Dashboard")


def promtool(*arguments: str, folder: Path) -> str:
    done = subprocess.run(
        ["promtool", *arguments], cwd=folder, env={"PATH": search_path()},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def fired(minute: int, name: str, **labels: str) -> dict[str, Any]:
    """What promtool expects: the alert with these labels, or no such alert without any."""
    (alert,) = (each for each in grafana.ALERTS if each.name == name)
    summary = alert.summary
    for label, value in labels.items():
        summary = summary.replace(f"{{{{ .Labels.{label} }}}}", value)
    alerts = [
        {
            "exp_labels": {**labels, "severity": alert.severity},
            "exp_annotations": {"summary": summary},
        }
    ]
    return {"eval_time": f"{minute}m", "alertname": name, "exp_alerts": alerts if labels else []}


@pytest.mark.needs("promtool")
def test_prometheus_fires_each_alert_after_its_time_and_not_before(tmp_path: Path) -> None:
    series = {
        'up{job="netwatch", instance="one"}': "1x4 0x9",
        'up{job="other", instance="web"}': "0x14",
        'netwatch_troubles{instance="one", trouble="silent"}': "0x4 1x9",
        'netwatch_troubles{instance="one", trouble="down"}': "0x14",
        'netwatch_incidents_open{instance="one", verdict="violation"}': "0x4 2x4 0x4",
        'netwatch_incidents_open{instance="one", verdict="advisory"}': "5x14",
    }
    up = {"instance": "one", "job": "netwatch"}
    silent = {"instance": "one", "trouble": "silent"}
    tests = [
        fired(5, "NetwatchDown"), fired(8, "NetwatchDown", **up),
        fired(5, "NetwatchUnhealthy"), fired(8, "NetwatchUnhealthy", **silent),
        fired(4, "NetwatchViolation"), fired(6, "NetwatchViolation", instance="one"),
        fired(12, "NetwatchViolation"),
    ]  # fmt: skip
    (tmp_path / "rules.yml").write_text(FILES["prometheus/netwatch.rules.yml"], encoding="utf-8")
    test = {
        "interval": "1m",
        "input_series": [{"series": name, "values": text} for name, text in series.items()],
        "alert_rule_test": tests,
    }
    content = {"rule_files": ["rules.yml"], "evaluation_interval": "1m", "tests": [test]}
    (tmp_path / "test.yml").write_text(yaml.safe_dump(content), encoding="utf-8")
    assert {each["alertname"] for each in tests} == {each.name for each in grafana.ALERTS}
    assert "SUCCESS" in promtool("test", "rules", "test.yml", folder=tmp_path)


def test_grafana_has_the_same_alerts_and_no_variable_but_the_data_source() -> None:
    text = FILES["provisioning/alerting/netwatch.yaml"]
    assert text.count("$") == text.count("$NETWATCH_PROMETHEUS_UID") == len(grafana.ALERTS)
    ((group,), (prometheus,)) = (
        yaml.safe_load(each)["groups"] for each in (text, FILES["prometheus/netwatch.rules.yml"])
    )
    ours = [(r["title"], r["data"][0]["model"]["expr"], r["for"]) for r in group["rules"]]
    assert ours == [(r["alert"], r["expr"], r["for"]) for r in prometheus["rules"]]
    assert all(rule["condition"] == rule["data"][0]["refId"] for rule in group["rules"])
    assert len({rule["uid"] for rule in group["rules"]}) == len(grafana.ALERTS)


def test_the_dashboard_is_of_the_types_of_grafana(tmp_path: Path) -> None:
    assert type_problems(tmp_path, [(*TYPE, DASHBOARD)]) == ""


def test_the_types_refuse_a_wrong_dashboard(tmp_path: Path) -> None:
    wrong = {**DASHBOARD, "refreshed": "1m"}
    assert "refreshed" in type_problems(tmp_path, [(*TYPE, wrong)])


def test_the_dashboard_can_be_provisioned() -> None:
    """Provisioning asks for nothing, so the data source has to be a variable."""
    assert not any(key.startswith("__") for key in DASHBOARD)
    first, *_ = DASHBOARD["templating"]["list"]
    assert f"${{{first['name']}}}" == DASHBOARD["panels"][0]["datasource"]["uid"]
    (provider,) = yaml.safe_load(FILES["provisioning/dashboards/netwatch.yaml"])["providers"]
    assert provider["options"]["path"] == grafana.PATH
