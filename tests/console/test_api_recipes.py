"""The recipes of the guide to the API, run as they are written there against a console over TLS."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
import trustme
from support.console_server import served
from support.consoles import copied
from support.paths import PCAPS, ROOT
from support.programs import needs

from netwatch.console.database import open_console
from netwatch.console.tokens import Tokens

GUIDE = (ROOT / "docs/guides/api.md").read_text(encoding="utf-8")
SHELL = re.findall(r"```sh\n(.*?)```", GUIDE, re.DOTALL)
(PYTHON,) = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
TOKENS = {"siem": "siem.token", "splunk": "splunk.token", "grafana": "grafana.token"}


class Recipes:
    """A folder with the files that recipes name, and a console at the address that they get."""

    def __init__(self, folder: Path, address: str, incident: str) -> None:
        self._folder = folder
        self._places = {
            "https://netwatch.example": address,
            "https://192.0.2.10:8477": address,
            "/etc/netwatch/splunk.token": "splunk.token",
            "4a142393be1a9dfd414398720c072a59": incident,
            "24h": "2023-03-01",
            "--since 7d": "--since 2023-03-01",
            "since=7d": "since=2023-03-01",
            "--since 20m": "--since 2023-03-01",
        }

    def here(self, text: str) -> str:
        """A recipe for this console, and for the time of the sample captures."""
        for written, place in self._places.items():
            text = text.replace(written, place)
        return text

    def run(self, *command: str) -> str:
        """What a command prints; all commands must succeed."""
        tools = Path(sys.executable).parent
        environment = {
            **os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "no_proxy": "*",
            "SSL_CERT_FILE": "ca.pem", "CURL_CA_BUNDLE": "ca.pem",
        }  # fmt: skip
        done = subprocess.run(
            command, cwd=self._folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def recipes(sample_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recipes]:
    folder = tmp_path_factory.mktemp("recipes")
    store, ca = copied(sample_store, folder), trustme.CA()
    issued = ca.issue_cert("127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    ca.cert_pem.write_to_path(folder / "ca.pem")
    shutil.copy(PCAPS / "devices.csv", folder)
    text = (PCAPS / "netwatch.yaml").read_text(encoding="utf-8")
    (folder / "netwatch.yaml").write_text(f"{text}\nstore: {{path: {store.path}}}\n")
    with contextlib.closing(open_console(store)) as database:
        for name, file in TOKENS.items():
            (folder / file).write_text(Tokens(database).add(f"my-{name}", "analyst", "a test"))
    files = ("--tls-cert", str(folder / "cert.pem"), "--tls-key", str(folder / "key.pem"))
    with served("--store-path", store.path, *files) as console:
        found = Recipes(folder, console.address, "")
        first = found.run("netwatch", "store", "query", "incidents", "--limit", "1",
                          "--format", "jsonl")  # fmt: skip
        yield Recipes(folder, console.address, json.loads(first)["id"])


@needs("curl")
@pytest.mark.parametrize("number", range(len(SHELL)))
def test_what_the_shell_runs(number: int, recipes: Recipes) -> None:
    text = recipes.here(SHELL[number])
    printed = recipes.run("sh", "-e", "-c", text)
    if "tokens remove" in text:
        assert "siem" in printed
    elif "curl" in text:
        answer = json.loads(printed)
        assert answer["state"] == "false" if "PATCH" in text else answer["records"]
    else:
        assert "tiktok" in printed or "judged_by" in printed


def test_what_python_runs(recipes: Recipes) -> None:
    printed = recipes.run(sys.executable, "-c", recipes.here(PYTHON))
    assert "TikTok" in printed


@needs("curl")
def test_what_a_data_source_of_grafana_asks(recipes: Recipes) -> None:
    (address,) = re.findall(r"URL `(https://\S+)`", GUIDE)
    (columns,) = re.findall(r"\*Rows/Root\* `records`; columns (.*)\.", GUIDE)
    moments = {"from": "2023-03-01T00:00:00.000Z", "to": "2023-04-01T00:00:00.000Z"}
    for name, moment in moments.items():
        address = address.replace(f"${{__{name}:date:iso}}", quote(moment))
    token = recipes.run("cat", "grafana.token").strip()
    text = recipes.run("curl", "-sH", f"Authorization: Bearer {token}", recipes.here(address))
    answer = json.loads(text)
    for name in re.findall(r"`(\S+)`", columns):
        value = answer["records"][0]
        for part in name.split("."):
            value = value[part]
        assert value
    assert "next" in answer
