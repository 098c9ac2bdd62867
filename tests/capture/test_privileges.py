"""Rights that are missing are reported with what grants them; those given up are gone."""

import grp
import os
import pwd
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from support.namespaces import namespace, needs_namespaces
from support.paths import ROOT
from support.programs import needs

from netwatch.capture import interfaces as rights
from netwatch.core.errors import NetwatchError

DROPPED = """
import os, socket, sys
from netwatch.capture import interfaces as rights
from netwatch.capture.ring_source import RingSource
from netwatch.core.errors import CaptureError

source = RingSource(["lo"], filtered=False)
rights.drop_privileges("nobody")
assert not rights.can_capture()
assert rights.effective_capabilities() == 0
assert os.getgroups() == []
try:
    RingSource(["lo"])
except CaptureError as error:
    assert "CAP_NET_RAW" in str(error)
else:
    raise SystemExit("a new capture was possible")
for gain in (lambda: os.setuid(0), lambda: os.setgid(0), lambda: os.setgroups([0])):
    try:
        gain()
    except PermissionError:
        continue
    raise SystemExit("root came back")
rights.drop_privileges("nobody")  # a second time changes nothing
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as talk:
    talk.bind(("127.0.0.1", 0))
    talk.sendto(b"still captured", talk.getsockname())
source.stop()
found = b"".join(bytes(block.data) for block in source.blocks())
print(found.count(b"still captured"), os.getresuid(), os.getresgid())
"""


@needs_namespaces
def test_what_was_opened_before_continues_without_privileges() -> None:
    nobody = pwd.getpwnam("nobody")
    with namespace() as net:
        done = subprocess.run(
            ["ip", "netns", "exec", net.name, sys.executable, "-c", DROPPED],
            capture_output=True,
            text=True,
            cwd=ROOT,
            timeout=60,
        )
    assert done.stderr == ""
    expected = (nobody.pw_uid,) * 3, (nobody.pw_gid,) * 3
    assert done.stdout.strip() == f"1 {expected[0]} {expected[1]}"


@needs_namespaces
def test_a_group_may_be_named() -> None:
    group = grp.getgrall()[-1]
    script = (
        "import os; from netwatch.capture import interfaces;"
        f"interfaces.drop_privileges('nobody', {group.gr_name!r}); print(os.getresgid())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, timeout=60
    )
    assert done.stdout.strip() == str((group.gr_gid,) * 3), done.stderr


@pytest.mark.parametrize(
    ("user", "group", "reported"),
    [
        ("no-such-user", None, "there is no user 'no-such-user'"),
        ("nobody", "no-such-group", "there is no group 'no-such-group'"),
        ("root", None, "user 'root' is root, expected an unprivileged user"),
    ],
)
def test_users_that_are_invalid(user: str, group: str | None, reported: str) -> None:
    before = os.getresuid(), os.getresgid(), os.getgroups()
    with pytest.raises(NetwatchError, match=reported):
        rights.drop_privileges(user, group)
    assert (os.getresuid(), os.getresgid(), os.getgroups()) == before


@needs_namespaces
def test_only_root_can_become_another() -> None:
    other = next(user.pw_name for user in pwd.getpwall() if user.pw_uid not in (0, 65534))
    os.seteuid(65534)
    try:
        with pytest.raises(NetwatchError, match=f"only root can become user '{other}'"):
            rights.drop_privileges(other)
    finally:
        os.seteuid(0)


def test_privileges_that_remain_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("setgroups", "setresgid", "setresuid", "setuid"):
        monkeypatch.setattr(os, name, lambda *_: None)
    for name in ("_empty_bounding_set", "_empty_capability_sets"):
        monkeypatch.setattr(rights, name, lambda: None)
    monkeypatch.setattr(os, "getresuid", lambda: (0, 0, 0))
    with pytest.raises(NetwatchError, match="privileges of root remain"):
        rights.drop_privileges("nobody")


CAPABILITIES = """
import ctypes, os, sys
from pathlib import Path
from netwatch.capture import interfaces as rights

def sets():
    lines = Path("/proc/self/status").read_text().splitlines()
    return {key: int(value, 16) for key, _, value in (line.partition(":") for line in lines)
            if key.startswith("Cap")}

PREPARE
assert sets()["CapBnd"] != 0
rights.drop_privileges(sys.argv[1])
print(sorted(key for key, value in sets().items() if value))
child = os.fork()
if not child:
    assert sets() == rights._capabilities()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
"""
INHERITABLE = """
libc = ctypes.CDLL(None)
header, data = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
libc.capget(header, data)
data[2] = data[1]
assert libc.capset(header, data) == 0
assert sets()["CapInh"] != 0
"""
AMBIENT = (
    INHERITABLE
    + """
assert libc.prctl(8, 1, 0, 0, 0) == 0  # PR_SET_KEEPCAPS
os.setgroups([])
os.setresgid(65534, 65534, 65534)
os.setresuid(65534, 65534, 65534)
assert libc.capset(header, data) == 0
assert libc.prctl(47, 2, 13, 0, 0) == 0  # PR_CAP_AMBIENT_RAISE
assert sets()["CapAmb"] == 1 << 13
"""
)
NO_SETPCAP = """
libc = ctypes.CDLL(None)
header, data = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
libc.capget(header, data)
data[0] &= ~(1 << 8)
data[1] &= ~(1 << 8)
assert libc.capset(header, data) == 0
"""


PRIORITY = """
import os, sys
from netwatch.capture import interfaces
if sys.argv[1:]:
    os.setpriority(os.PRIO_PROCESS, 0, int(sys.argv[1]))
    os.setresuid(65534, 65534, 65534)
interfaces.raise_priority()
print(os.getpriority(os.PRIO_PROCESS, 0))
"""


@needs_namespaces
@pytest.mark.parametrize(("before", "after"), [([], -15), (["5"], 5), (["-20"], -20)])
def test_a_capture_comes_before_other_processes_where_it_may(before: list[str], after: int) -> None:
    """As root; as another user, who may not; and where somebody gave it more."""
    call = [sys.executable, "-c", PRIORITY, *before]
    done = subprocess.run(call, capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert (done.stderr, done.stdout) == ("", f"{after}\n")


@needs_namespaces
@pytest.mark.parametrize(
    ("prepare", "left"),
    [
        ("", []),
        (INHERITABLE, []),
        # Such a process may not empty its bounding set.
        (NO_SETPCAP, ["CapBnd"]),
        (AMBIENT, ["CapBnd"]),
    ],
    ids=["root", "inheritable", "without CAP_SETPCAP", "ambient, already that user"],
)
def test_every_set_of_capabilities_is_emptied(prepare: str, left: list[str]) -> None:
    nobody = pwd.getpwuid(65534).pw_name
    done = subprocess.run(
        [sys.executable, "-c", CAPABILITIES.replace("PREPARE", prepare), nobody],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
    )
    assert done.stderr == ""
    assert done.stdout.strip() == str(left)


def test_capabilities_that_remain_are_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    status = tmp_path / "status"
    status.write_text("CapInh:\t0\nCapEff:\t0\nCapBnd:\t2000\n")
    monkeypatch.setattr(rights, "_STATUS", status)
    rights._verify_capabilities(bounding=False)
    with pytest.raises(NetwatchError, match="capabilities remain after they were dropped: CapBnd"):
        rights._verify_capabilities(bounding=True)


TAKEN = """
from netwatch.capture import interfaces as rights
from netwatch.capture.ring_source import RingSource
from netwatch.core.errors import CaptureError

print(rights.can_capture(), rights.effective_capabilities())
try:
    RingSource(["lo"]).stop()
except CaptureError as error:
    print("CAP_NET_RAW is required" in str(error))
print(rights.effective_capabilities())
"""


@pytest.mark.parametrize(
    ("bounding", "said"),
    [("+net_raw", ["True", "0", "8192"]), ("-net_raw", ["False", "0", "True", "0"])],
)
@needs("setpriv")
def test_a_capability_that_a_file_only_permits_is_taken(
    tmp_path: Path, bounding: str, said: list[str]
) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a file capabilities")
    (tmp_path / "bin").mkdir()
    python = tmp_path / "bin" / "python3"
    shutil.copy(Path(sys.executable).resolve(), python)
    shutil.copy(Path(sys.prefix) / "pyvenv.cfg", tmp_path)
    # struct vfs_cap_data (linux/capability.h), revision 2, without its bit for effective.
    os.setxattr(python, "security.capability", struct.pack("<5I", 2 << 24, 1 << 13, 0, 0, 0))
    # Without privileges for user id 0, which owns the folders of the tests, nothing else gives any.
    rights_left = ("--securebits=+noroot", "--inh-caps=-all", f"--bounding-set={bounding}")
    done = subprocess.run(
        ["setpriv", *rights_left, python, "-c", TAKEN],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])},
    )
    assert done.stderr == ""
    assert done.stdout.split() == said


@pytest.mark.parametrize(
    ("status", "euid", "may"),
    [
        ("Name:\tx\nCapEff:\t0000000000002000\n", 1000, True),
        ("CapEff:\t0000000000001000\n", 0, False),
        ("CapEff:\t0000000000000000\n", 0, False),
        ("CapPrm:\t0000000000002000\nCapEff:\t0000000000000000\n", 1000, True),
        ("Name:\tx\n", 0, True),
        (None, 0, True),
        (None, 1000, False),
    ],
)
def test_who_can_capture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: str | None, euid: int, may: bool
) -> None:
    file = tmp_path / "status"
    if status is not None:
        file.write_text(status)
    monkeypatch.setattr(rights, "_STATUS", file)
    monkeypatch.setattr(os, "geteuid", lambda: euid)
    assert rights.can_capture() is may


def test_instructions_name_the_exact_file(tmp_path: Path) -> None:
    file = tmp_path / "python3"
    file.touch()
    link = tmp_path / "link"
    link.symlink_to(file)
    reported = rights.grant_instructions(str(link))
    assert reported[0].startswith(f"setcap cap_net_raw=ep {file} ")
    assert any("AmbientCapabilities=CAP_NET_RAW" in line for line in reported)
    assert any("--cap-add NET_RAW" in line for line in reported)


def test_an_interpreter_that_is_shared_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    own = tmp_path / "bin" / "python3"
    assert "--copies" not in rights.grant_instructions(str(own))[0]
    assert "--copies" in rights.grant_instructions("/usr/bin/python3")[0]
    monkeypatch.setattr(sys, "base_prefix", str(tmp_path))
    assert "--copies" not in rights.grant_instructions("/usr/bin/python3")[0]


def test_elsewhere_it_takes_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert rights.grant_instructions()[0] == "start it as root (sudo)"
