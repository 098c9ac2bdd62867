"""What is there only in part skips its tests, and a server that does not start is ended."""

import gc
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
from aiosmtpd.handlers import Sink
from support import receiver_harness_bus
from support.paths import ROOT
from support.programs import Process, problem_of, require_programs, running
from support.receiver_harness_bus import Kafka
from support.receiver_harness_syslog import Rsyslog
from support.receivers import Smtp
from support.waiting import TIMEOUT

BROKEN = {
    "library": "echo 'error while loading shared libraries: libx.so.1' >&2; exit 127",
    "status": "exit 1",
    "crash": "kill -SEGV $$",
}


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Puts a program into the search path, in front of all others."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def write(name, body):
        path = folder / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
        return str(path)

    return write


@pytest.mark.parametrize("name", ["dig", "tshark", "chromium", "rsyslogd", "nats-server"])
@pytest.mark.parametrize("how", BROKEN)
def test_program_that_does_not_work_skips_with_what_it_said(name, how, install):
    install(name, BROKEN[how])
    with pytest.raises(pytest.skip.Exception, match=f"{name} does not work here: exit status"):
        require_programs("sh", name)
    assert ("libx.so.1" in problem_of(name)) is (how == "library")


def test_program_that_hangs_skips_and_is_ended_with_what_it_started(install, monkeypatch):
    monkeypatch.setattr("support.programs._PROBE_TIMEOUT", 0.3)
    install("curl", "sleep 4711 & echo $! >&2; wait")
    problem = problem_of("curl")
    assert "no end within 0.3 s" in problem
    child = int(problem.rsplit(" ", 1)[1])
    deadline = time.monotonic() + TIMEOUT
    while os.path.exists(f"/proc/{child}/exe") and time.monotonic() < deadline:  # noqa: PTH110
        time.sleep(0.01)
    assert not os.path.exists(f"/proc/{child}/exe")  # noqa: PTH110


def test_program_that_is_missing_skips():
    with pytest.raises(pytest.skip.Exception, match="no-such-program is not installed"):
        require_programs("no-such-program")


def test_working_programs_do_not_skip(install):
    install("curl", "exit 0")
    require_programs("sh", "curl")


def test_marked_tests_are_skipped(install, tmp_path):
    """Of every kind: with a fixture, in a parametrized test, in a marked module."""
    install("tcpdump", "exit 0")
    install("curl", BROKEN["library"])
    done = run_tests("tests/clients/test_curl.py")
    assert done.returncode == 0, done.stdout
    assert "passed" not in done.stdout
    assert "curl does not work here: exit status 127, error while loading" in done.stdout


def run_tests(*arguments, **environment):
    """Run tests of this suite in a process of its own."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    return subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )


def test_rsyslog_without_its_driver_for_tls_skips_only_what_needs_it(
    install, tmp_path, certificates, monkeypatch
):
    install("rsyslogd", "exit 0")
    modules = tmp_path / "modules"
    modules.mkdir()
    for name in ("imtcp.so", "imudp.so"):
        (modules / name).touch()
    monkeypatch.setenv("RSYSLOG_MODDIR", str(modules))
    for transport in ("tcp", "udp"):
        assert Rsyslog(transport, "octet-counting", tmp_path, certificates).transport == transport
    with pytest.raises(pytest.skip.Exception, match="has no module lmnsd_gtls"):
        Rsyslog("tls", "octet-counting", tmp_path, certificates)
    done = run_tests("tests/sinks/test_receivers.py", "-k", "rsyslog-tls")
    assert done.returncode == 0, done.stdout
    assert "passed" not in done.stdout
    assert "rsyslogd has no module lmnsd_gtls" in done.stdout


NOT_READY = {
    "waits": ("echo the reason; exec sleep 4711", "in vain until the server is ready"),
    "ends": ("echo the reason; exit 3", "the server has ended with status 3"),
    "ignores signals": ("trap '' TERM; echo the reason; sleep 4711 & wait; wait", "in vain"),
}


@pytest.mark.parametrize("how", NOT_READY)
def test_server_that_does_not_become_ready_is_ended_and_its_output_shown(how, install, tmp_path):
    body, why = NOT_READY[how]
    program = install("server", f"echo $$ >{tmp_path}/pid; {body}")
    with pytest.raises(AssertionError, match=f"(?s){why}.*its output: the reason"):
        Process([program], lambda: False, tmp_path, timeout=1)
    pid = int((tmp_path / "pid").read_text())
    assert not os.path.exists(f"/proc/{pid}/exe")  # noqa: PTH110


def test_server_whose_check_fails_is_ended(install, tmp_path):
    def fails():
        raise OSError("no check")

    program = install("server", f"echo $$ >{tmp_path}/pid; exec sleep 4711")
    with pytest.raises(AssertionError, match="no check"):
        Process([program], lambda: (tmp_path / "pid").exists() and fails(), tmp_path)
    pid = int((tmp_path / "pid").read_text())
    assert not os.path.exists(f"/proc/{pid}/exe")  # noqa: PTH110


def test_server_that_ignores_its_signal_is_killed_and_reported(install, tmp_path, monkeypatch):
    monkeypatch.setattr("support.programs.TIMEOUT", 0.5)
    program = install("server", "trap '' TERM; echo ready; while :; do sleep 0.1; done")
    server = Process(
        [program], lambda: "ready" in (tmp_path / "receiver.log").read_text(), tmp_path
    )
    pid = server._process.pid
    with pytest.raises(AssertionError, match="did not react to SIGTERM"):
        server.end()
    assert not os.path.exists(f"/proc/{pid}/exe")  # noqa: PTH110
    server.end(signal.SIGKILL)


def test_server_is_ended_even_if_it_fails_to_start():
    class Server:
        ended = False

        def start(self):
            raise OSError("no")

        def stop(self):
            self.ended = True

    server = Server()
    with pytest.raises(OSError, match="no"), running(server):
        pass
    assert server.ended


@pytest.mark.parametrize(
    ("script", "raised", "why"),
    [
        (
            "raise OSError('librdkafka.so.1: cannot open shared object file: No such file')",
            pytest.skip.Exception,
            "no usable librdkafka: OSError: librdkafka.so.1",
        ),
        ("print('what is this')", AssertionError, "the mock cluster does not start: what is this"),
        ("raise ValueError('broken')", AssertionError, "ValueError: broken"),
    ],
)
def test_kafka_cluster_that_does_not_start_is_ended(
    script, raised, why, tmp_path, certificates, monkeypatch
):
    (tmp_path / "kafka_cluster.py").write_text(script)
    monkeypatch.setattr(receiver_harness_bus, "SUPPORT", tmp_path)
    cluster = Kafka(tmp_path, certificates)
    with pytest.raises(raised, match=f"(?s){why}"):
        cluster.start()
    assert cluster._process is None


def test_mail_server_that_does_not_start_leaves_nothing_behind():
    before = set(threading.enumerate())
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = Smtp(Sink(), hostname="127.0.0.1", port=taken.getsockname()[1])
        with pytest.raises(OSError, match="in use"):
            server.start()
    gc.collect(1)  # what is young; to look at all that tests before have left takes seconds
    assert set(threading.enumerate()) <= before
