"""The images that the page of containers names, built and run: without privileges but CAP_NET_RAW,
on a root that is not written to.

Building it takes minutes, so `make test-packages` runs this.
"""

import os
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.containers import BASE, Engine
from support.paths import PCAPS, ROOT
from support.programs import require_programs
from support.waiting import wait_until

pytestmark = pytest.mark.packages

IMAGE = "localhost/netwatch"
CONSOLE = "localhost/netwatch-console"
REPORTS = "localhost/netwatch-reports"
SENSOR = "localhost/netwatch-sensor"
VARIANTS = {
    IMAGE: (),
    CONSOLE: ("EXTRAS=notify,postgres,store,web", "PACKAGES="),
    REPORTS: (
        "EXTRAS=report,store",
        "PACKAGES=libpango-1.0-0 libpangoft2-1.0-0 fonts-dejavu-core",
    ),
    SENSOR: ("EXTRAS=fleet", "PACKAGES="),
}
"""Images by the arguments that they are built with."""
HALF_OF_THE_FIRST = 455_500_000
"""Bytes: it once had twice as many."""
CAPTURE = PCAPS / "office-day.pcap"
CONFINED = ("--read-only", "--cap-drop", "ALL", "--network", "none")
CONFIGURATION = """version: 1
networks: [{name: loopback, cidrs: [127.0.0.0/8], class: service}]
metrics: {listen: "127.0.0.1:9477"}
"""
LOOKUP = """
import socket
name = b"".join(bytes([len(part)]) + part for part in (b"www", b"tiktok", b"com")) + bytes(1)
query = bytes.fromhex("123401000001000000000000") + name + bytes.fromhex("00010001")
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
    client.sendto(query, ("127.0.0.2", 53))
"""
PASSWORD = "correct horse battery staple"
PAGES = f"""
import re
from http.cookiejar import CookieJar
from urllib import parse, request

visitor = request.build_opener(request.HTTPCookieProcessor(CookieJar()))
visitor.addheaders = [("Origin", "http://127.0.0.1:8477")]

def page(path, **fields):
    data = parse.urlencode(fields).encode() if fields else None
    return visitor.open("http://127.0.0.1:8477" + path, data, 20).read().decode()

hidden = dict(re.findall(r'type="hidden" name="(\\w+)" value="(\\w*)"', page("/sign-in")))
page("/sign-in", **hidden, name="maria", password="{PASSWORD}")
period = "?from=2023-03-20&to=2023-03-21"
assert "TikTok" in page("/incidents" + period)
assert page("/bans/be-fed-tiktok-2023" + period).count("<svg") > 5
"""


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    require_programs("podman", "buildah", "mmdebstrap", "setpriv")
    if os.geteuid() != 0:
        pytest.skip("only root can make the base")
    folder = tmp_path_factory.mktemp("containers")
    engine = Engine(folder / "engine")
    try:
        engine.make_base()
        sdist = [sys.executable, "setup.py", "--quiet", "sdist", "--dist-dir", folder / "dist"]
        subprocess.run(sdist, cwd=ROOT, check=True, timeout=600)
        for image, arguments in VARIANTS.items():
            options = [f"--build-arg={each}" for each in (f"BASE={BASE}", *arguments)]
            engine.build(image, folder / "dist", "--layers", *options)
        yield engine
    finally:
        engine.remove()


def test_it_takes_half_of_the_first(engine: Engine) -> None:
    sizes = {}
    for image in (IMAGE, CONSOLE):
        inspect = ("podman", "image", "inspect", "--format", "{{.Size}}", image)
        sizes[image] = int(engine.run(*inspect).stdout)
        print(f"{image} takes {sizes[image] / 1e6:.0f} MB")
    assert max(sizes.values()) <= HALF_OF_THE_FIRST


def test_the_console_is_in_its_own_image(engine: Engine) -> None:
    code = "import netwatch.console.routes, vl_convert, psycopg, duckdb"
    for image, expected in ((IMAGE, 1), (CONSOLE, 0)):
        run = ("podman", "run", "--rm", *CONFINED, "--entrypoint", "python3", image, "-c", code)
        assert engine.run(*run, check=False).returncode == expected


@pytest.mark.parametrize("image", VARIANTS)
def test_doctor_knows_each_image(engine: Engine, image: str) -> None:
    done = engine.run("podman", "run", "--rm", *CONFINED, image, "doctor", check=False)
    assert "CAP_NET_RAW" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize("image", [CONSOLE, REPORTS])
def test_what_is_stored_is_verified_shown_and_reported(engine: Engine, image: str) -> None:
    """The three that use most of the libraries, parts of which are left out."""
    configuration = ("-c", str(PCAPS / "netwatch.yaml"))
    place = ("--store-path", "store")
    volumes = (f"--volume={PCAPS}:{PCAPS}:ro", f"--volume={Path(image).name}:/var/lib/netwatch")
    run = ("podman", "run", "--rm", *CONFINED, *volumes, "--entrypoint", "sh", image, "-c")

    def shell(*commands: tuple[str | Path, ...]) -> str:
        lines = (shlex.join(map(str, words)) for words in commands)
        return engine.run(*run, " && ".join(lines), timeout=300).stdout

    scan = ("netwatch", "scan", *configuration, "--store", *place, "--evidence", "proof", CAPTURE)
    said = shell(scan, ("netwatch", "verify", "proof", *place))
    assert "by scapy and dpkt" in said
    assert "not shown" not in said
    if image == REPORTS:
        period = ("--from", "2023-03-20", "--to", "2023-03-20")
        report = ("netwatch", "report", *configuration, *place, *period, "-o", "report.pdf")
        assert shell(report, ("head", "-c", "5", "report.pdf")).endswith("%PDF-")
        return
    add = shlex.join(("netwatch", "users", "add", "maria", "--role", "auditor", *place))
    engine.run(*run, f"echo {PASSWORD} | {add} --password-stdin")
    serve = ("serve", *configuration, *place)
    detached = ("podman", "run", "--detach", *CONFINED, *volumes, image, *serve)
    name = engine.run(*detached).stdout.strip()

    def answers() -> bool:
        ask = ("podman", "exec", name, "python3", "-c", PAGES)
        return engine.run(*ask, check=False).returncode == 0

    wait_until(answers, "the console shows incidents and draws charts", timeout=60)
    engine.run("podman", "rm", "--force", "--time", "0", name)


def test_a_scan_gives_the_alerts_of_the_capture(engine: Engine) -> None:
    command = ("scan", "-c", str(PCAPS / "netwatch.yaml"), "--format", "jsonl", "--quiet")
    # The name of the machine is that of the sensor.
    options = (f"--volume={PCAPS}:{PCAPS}:ro", "--hostname", socket.gethostname())
    run = ("podman", "run", "--rm", *CONFINED, *options, IMAGE)
    done = engine.run(*run, *command, CAPTURE, timeout=300)
    expected = subprocess.run(
        [sys.executable, "-m", "netwatch", *command, CAPTURE], capture_output=True, text=True
    )
    assert done.stdout.count('"status":"closed"') > 1
    assert done.stdout == expected.stdout


def test_nothing_is_owned_by_the_user_or_written(engine: Engine) -> None:
    script = "id -u; touch /opt/netwatch/x /etc/x 2>&1; touch /var/lib/netwatch/x && echo state"
    done = engine.run("podman", "run", "--rm", *CONFINED, "--entrypoint", "sh", IMAGE, "-c", script)
    first, *refused, last = done.stdout.splitlines()
    assert (first, last) == ("10001", "state")
    assert [line.rpartition(": ")[2] for line in refused] == ["Read-only file system"] * 2


def test_without_the_capability_a_capture_says_what_is_missing(engine: Engine) -> None:
    command = ("podman", "run", "--rm", *CONFINED, IMAGE, "live", "-i", "lo")
    done = engine.run(*command, check=False)
    assert done.returncode == 1
    assert "CAP_NET_RAW is required" in done.stderr


@pytest.mark.parametrize(
    "entrypoint",
    [
        pytest.param("netwatch", id="podman"),
        # Docker and Kubernetes give an unprivileged user no ambient capability.
        pytest.param(
            '["setpriv", "--inh-caps=-all", "--ambient-caps=-all", "netwatch"]', id="docker"
        ),
    ],
)
def test_a_live_capture_is_healthy_and_alerts(
    engine: Engine, tmp_path: Path, entrypoint: str
) -> None:
    configuration = tmp_path / "netwatch.yaml"
    configuration.write_text(CONFIGURATION)
    name = engine.run(
        *(
            "podman",
            "run",
            "--detach",
            *CONFINED,
            "--cap-add",
            "NET_RAW",
            "--entrypoint",
            entrypoint,
        ),
        f"--volume={configuration}:/etc/netwatch/netwatch.yaml:ro",
        *(IMAGE, "live", "-i", "lo", "--format", "jsonl", "--state", "live.sqlite"),
    ).stdout.strip()

    def alerted() -> bool:
        engine.run("podman", "exec", name, "python3", "-c", LOOKUP)
        return '"tiktok"' in engine.run("podman", "logs", name).stdout

    wait_until(alerted, "the capture alerts", timeout=60)
    assert engine.run("podman", "healthcheck", "run", name, check=False).returncode == 0
    status = engine.run("podman", "exec", name, "grep", "CapBnd", "/proc/1/status").stdout
    assert status.split() == ["CapBnd:", "0000000000002000"]
    engine.run("podman", "stop", name)
    code = engine.run("podman", "inspect", "--format", "{{.State.ExitCode}}", name).stdout
    assert code.strip() == "0"
    engine.run("podman", "rm", name)
