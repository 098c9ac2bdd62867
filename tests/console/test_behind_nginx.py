"""The console as users start it, behind nginx as its guide configures it, asked by curl."""

import contextlib
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from support.console_server import served
from support.consoles import NAMES, PASSWORD, copied, csrf_of
from support.paths import PCAPS, ROOT
from support.ports import free_port
from support.programs import Process, needs, search_path
from support.waiting import wait_until

from netwatch.console.audit import Audit
from netwatch.console.database import open_console

NAME = "netwatch.example"
OUTSIDE = "127.0.0.9"
"""The address of the client, which the console does not see: its peer is nginx."""

ODD = (
    "/devices/%C5%81ukasz-PC", "/devices/a%2Fb", "/devices/a/b", "/devices/%00",
    "/incidents?device=%FF", "/incidents?from=0&to=99999", "/devices?device=%F0%9F%90%B1",
)  # fmt: skip


def recipe(port: int) -> str:
    """The location of the guide, for a console at another port."""
    text = (ROOT / "docs/guides/console.md").read_text(encoding="utf-8")
    (found,) = re.findall(r"```nginx\n(.*?)```", text, re.DOTALL)
    assert "http://127.0.0.1:8477" in found
    return found.replace("8477", str(port))


class Curl:
    """A browser without script, whose cookies are in a file."""

    def __init__(self, jar: Path, port: int, ca: Path) -> None:
        self._common = [
            "curl", "--silent", "--noproxy", "*", "--cacert", str(ca), "--interface", OUTSIDE,
            "--resolve", f"{NAME}:{port}:127.0.0.1",
            "--cookie", str(jar), "--cookie-jar", str(jar),
        ]  # fmt: skip
        self.origin = f"https://{NAME}:{port}"

    def ask(self, place: str, *arguments: str) -> tuple[int, str]:
        """The status and the content of an answer."""
        command = [*self._common, *arguments, "--write-out", "\n%{http_code}"]
        done = subprocess.run(
            [*command, f"{self.origin}{place}"], capture_output=True, text=True, check=True
        )
        content, _, status = done.stdout.rpartition("\n")
        return int(status), content

    def sign_in(self, name: str, password: str) -> int:
        """The status of the answer to the form."""
        _, page = self.ask("/sign-in")
        fields = {"name": name, "password": password, "csrf": csrf_of(page)}
        form = [word for key, value in fields.items() for word in ("--data", f"{key}={value}")]
        return self.ask("/sign-in", *form, "--header", f"Origin: {self.origin}")[0]


@contextlib.contextmanager
def proxied(folder: Path, port: int, console: int) -> Iterator[Path]:
    """The certificate of an nginx in front of a console."""
    ca = trustme.CA()
    issued = ca.issue_cert(NAME)
    issued.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    ca.cert_pem.write_to_path(folder / "ca.pem")
    temporary = "".join(
        f"    {kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off;\nmaster_process off;\npid {folder}/pid;\nerror_log stderr;\n"
        f"events {{}}\nhttp {{\n{temporary}    access_log off;\n    server {{\n"
        f"        listen 127.0.0.1:{port} ssl;\n        server_name {NAME};\n"
        f"        ssl_certificate {folder}/cert.pem;\n"
        f"        ssl_certificate_key {folder}/key.pem;\n{recipe(console)}    }}\n}}\n"
    )
    program = shutil.which("nginx", path=search_path())
    assert program is not None
    command = [program, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", "stderr"]

    def answers() -> bool:
        return subprocess.run(
            ["curl", "--silent", "--noproxy", "*", "--insecure", f"https://127.0.0.1:{port}/"],
            capture_output=True, check=False,
        ).returncode == 0  # fmt: skip

    nginx = Process(command, answers, folder)
    try:
        yield folder / "ca.pem"
    finally:
        nginx.end()


@needs("nginx", "curl")
@pytest.mark.parametrize("has_section", [True, False])
def test_invented_names_lock_nobody_out_behind_a_proxy(
    has_section: bool, sample_store: Path, tmp_path: Path
) -> None:
    store, port, inside = copied(sample_store, tmp_path), free_port(), free_port()
    shutil.copy(PCAPS / "devices.csv", tmp_path)
    section = "  proxy:\n    addresses: [127.0.0.1]\n" if has_section else ""
    text = (PCAPS / "netwatch.yaml").read_text(encoding="utf-8")
    url = f"https://{NAME}:{port}"
    config = tmp_path / "netwatch.yaml"
    config.write_text(f"{text}\nconsole:\n  url: {url}\n{section}", encoding="utf-8")
    place = ("--listen", f"127.0.0.1:{inside}", "--store-path", store.path)
    with served("-c", str(config), *place), proxied(tmp_path, port, inside) as ca:
        guesser, ben = Curl(tmp_path / "a", port, ca), Curl(tmp_path / "b", port, ca)
        statuses = {guesser.sign_in(f"invented-{n}", "wrong") for n in range(25)}
        assert statuses <= {401, 429}
        assert 401 in statuses
        # A crowded address has one try a second, which the guesser has had.
        wait_until(lambda: ben.sign_in(NAMES["analyst"], PASSWORD) == 303, "ben has signed in")
        for place in ODD:
            assert ben.ask(place)[0] in (200, 400, 404), place
        assert ben.ask("/sign-in", "--header", f"X-Large: {'a' * 17_000}")[0] in (400, 414, 431)
    with contextlib.closing(open_console(store)) as database:
        found = [entry for entry in Audit(database).entries() if entry.action == "sign-in"]
    assert found[-1].address == (OUTSIDE if has_section else "127.0.0.1")
