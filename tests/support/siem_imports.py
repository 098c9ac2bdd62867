"""What the packages for SIEMs are tried with: records of the sample captures, a server that their
scripts import into, and the code of the SIEMs themselves that npm has.

`.ci/run` installs that code: the types of the clients of Elasticsearch and OpenSearch and of
Grafana's dashboards, which TypeScript compares with, and the parser of Kibana's queries.
"""

import contextlib
import json
import shutil
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from siem_packages import samples
from support.programs import search_path

Record = dict[str, Any]

_COMPILE = ("--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext", "--types", "")
_LOOSE = """type Loose<T> = T extends string ? `${T}` : T extends (infer U)[] ? Loose<U>[]
    : T extends object ? { [K in keyof T]: Loose<T[K]> } : T;
"""
_PARSE = """const kibana = require("@cybernetex/kbn-es-query");
const queries = JSON.parse(require("fs").readFileSync(0, "utf8"));
const parsed = queries.map((query) => kibana.fromKueryExpression(query));
console.log(JSON.stringify(parsed.map((query) => kibana.toElasticsearchQuery(query))));
"""


def sample_records(form: str) -> list[Record]:
    """The alerts of the sample captures in a format, parsed."""
    lines = samples.lines(form)
    assert len(lines) > 20
    return [json.loads(line) for line in lines]


def values(record: Record, path: str) -> list[Any]:
    """All that a record has at a path with dots, through lists."""
    found: list[Any] = [record]
    for key in path.split("."):
        found = [each[key] for each in found if isinstance(each, dict) and key in each]
        found = [one for each in found for one in (each if isinstance(each, list) else [each])]
    return found


def modules() -> Path:
    """The folder of what npm installed; skips the test where it is not."""
    compiler = shutil.which("tsc", path=search_path())
    folder = Path(compiler).parent.parent if compiler else None
    if folder is None or not (folder / "@cybernetex/kbn-es-query").is_dir():
        pytest.skip("the SIEMs' own code is not installed: see install_siem_code in .ci/run")
    return folder


def type_problems(folder: Path, checks: Sequence[tuple[str, str, Any]]) -> str:
    """What TypeScript says of values: the module and the name of each one's type, and the value.
    Empty if all are of their types, without a key that a type does not have."""
    (folder / "node_modules").symlink_to(modules())
    lines = [_LOOSE]
    for number, (module, name, value) in enumerate(checks):
        root = name.partition(".")[0]
        lines.append(f'import type {{ {root} as Root{number} }} from "{module}";')
        used = f"Root{number}{name.removeprefix(root)}"
        lines.append(f"export const value{number}: Loose<{used}> = {json.dumps(value)};")
    (folder / "values.ts").write_text("\n".join(lines), encoding="utf-8")
    tsc = str(modules() / ".bin" / "tsc")
    done = subprocess.run(
        [tsc, *_COMPILE, "values.ts"],
        cwd=folder, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0 or done.stdout, done.stderr
    return done.stdout


def kibana_queries(queries: Sequence[str]) -> list[Record]:
    """What Kibana asks Elasticsearch for each query in KQL. Fails if Kibana cannot read one."""
    done = subprocess.run(
        ["node", "-e", _PARSE], input=json.dumps(queries), cwd=modules(),
        capture_output=True, text=True, check=False, timeout=60, env={"PATH": search_path()},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: list[Record] = json.loads(done.stdout)
    return found


def selects(query: Record, record: Record) -> bool:
    """Whether a query of Elasticsearch selects a record whose texts are keywords. Only what
    Kibana makes of a comparison, ``and``, ``or`` and ``not``."""
    ((kind, content),) = query.items()
    if kind == "match_phrase":
        ((path, wanted),) = content.items()
        return wanted in values(record, path)
    assert kind == "bool", kind
    least = content.get("minimum_should_match", 0)
    assert set(content) <= {"filter", "must_not", "should", "minimum_should_match"}
    refused = content.get("must_not", [])
    return (
        all(selects(each, record) for each in content.get("filter", []))
        and not any(selects(each, record) for each in _listed(refused))
        and sum(selects(each, record) for each in content.get("should", [])) >= least
    )


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


@dataclass
class ImportServer:
    """What a script sent: method and address, headers and body of each request. `answers` are
    bodies by what an address starts with, otherwise all is accepted."""

    answers: Mapping[str, tuple[int, str]]
    address: str = ""
    seen: list[tuple[str, Mapping[str, str], bytes]] = field(default_factory=list)

    def run(self, script: Path, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a script with these variables."""
        return subprocess.run(
            ["sh", str(script)], capture_output=True, text=True, check=False, timeout=60,
            env={"PATH": search_path(), **environment},
        )  # fmt: skip


@contextlib.contextmanager
def import_server(answers: Mapping[str, tuple[int, str]]) -> Iterator[ImportServer]:
    """A server of both kinds of requests that the scripts send, on loopback."""
    state = ImportServer(answers)

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            state.seen.append((f"{self.command} {self.path}", dict(self.headers), body))
            accepted = (
                200,
                '{"success":true}' if "/api/" in self.path else '{"acknowledged":true}',
            )
            known = (each for start, each in answers.items() if self.path.startswith(start))
            status, text = next(known, accepted)
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        do_PUT = do_POST = _answer  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.address = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
