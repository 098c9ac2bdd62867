"""What needs which extra: the libraries of each, and commands that cannot do without."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from support.paths import PCAPS

LIBRARIES = {
    "arrow": ("pyarrow",),
    "cluster": ("distributed", "dask"),
    "fleet": ("nats", "nkeys", "tuf", "securesystemslib"),
    "kafka": ("confluent_kafka",),
    "logs": ("evtx",),
    "nats": ("nats",),
    "notify": ("apprise", "jinja2"),
    "oidc": ("authlib", "joserfc"),
    "postgres": ("psycopg",),
    "report": ("jinja2", "vl_convert", "weasyprint"),
    "s3": ("s3fs", "fsspec"),
    "store": ("sqlalchemy", "duckdb", "fsspec", "pyarrow"),
    "updates": ("tuf", "securesystemslib"),
    "web": ("argon2", "jinja2", "multipart", "python_multipart", "starlette", "uvicorn"),
}
"""The modules that come with an extra and with nothing that is always installed."""

_FILES = {
    "netwatch.yaml": "version: 1\nstore: {path: store}\n",
    "kafka.yaml": 'version: 1\noutputs: [{type: kafka, brokers: ["127.0.0.1:9"], topic: a}]\n',
    "nats.yaml": 'version: 1\noutputs: [{type: nats, url: "nats://127.0.0.1:9", subject: a}]\n',
    "apprise.yaml": "version: 1\noutputs: [{type: apprise, url: {file: channel.url}}]\n",
    "channel.url": "json://127.0.0.1:9",
    "centre.yaml": "version: 1\nstore: {path: store}\n"
    'fleet: {centre: "nats://127.0.0.1:9", server: {listen: "127.0.0.1:9"}}\n',
    "postgres.yaml": "version: 1\n"
    'store: {path: store, catalogue: "postgresql://nobody@127.0.0.1:9/none"}\n',
    "oidc.yaml": "version: 1\nstore: {path: store}\nconsole:\n  listen: 127.0.0.1:0\n  oidc:\n"
    "    issuer: https://127.0.0.1:9/\n    client_id: netwatch\n"
    "    client_secret: {file: channel.url}\n    role_claim: groups\n    roles: {a: analyst}\n",
}


@dataclass(frozen=True)
class Case:
    """A command that names `extra` although those of `present` are installed, with its status."""

    extra: str
    words: str
    present: tuple[str, ...] = ()
    status: int = 2


_IN_STORE = (
    *("scan a.pcap --store", "names a.pcap --store", "rejudge", "signatures feedback"),
    *("explain nw-1", "store status", "store query incidents", "store sql tables"),
    *("store verify", "store compact", "store upgrade", "store prune", "store erase --device a"),
    *("store identify a --reason b", "backup kept", "restore kept", "serve"),
    *("users add a --role analyst", "users passwd a", "users role a analyst", "users list"),
    *("users remove a", "audit list", "audit verify", "audit export a", "tokens list"),
    *("tokens add a --role analyst --purpose b", "tokens remove a"),
    "report --from 2023-01-01 --to 2023-01-31 -o r.json",
)
_OF_CENTRE = ("status", "centre", "enrol a", "publish .", "revoke a", "refused list")

CASES = (
    *(Case("store", words) for words in _IN_STORE),
    *(Case("fleet", f"fleet {words} -c centre.yaml") for words in _OF_CENTRE),
    *(Case("store", f"fleet {each} -c centre.yaml", ("fleet", "arrow")) for each in _OF_CENTRE),
    Case("arrow", "names a.pcap --format arrow"),
    Case("arrow", "names a.pcap --format parquet -o a.parquet"),
    Case("cluster", "scan a.pcap --cluster local"),
    Case("s3", "scan s3://bucket/a.pcap"),
    Case("logs", "scan a.evtx", status=1),
    Case("kafka", "outputs test -c kafka.yaml", status=1),
    Case("nats", "outputs test -c nats.yaml", status=1),
    Case("notify", "outputs test -c apprise.yaml", status=1),
    Case("updates", "signatures update --root root.json --url https://127.0.0.1:9/"),
    Case("updates", "signatures publish . --repository r --keys k"),
    Case("postgres", "store status -c postgres.yaml", ("store",)),
    Case("report", "report --from 2023-01-01 --to 2023-01-31 -o r.html", ("store",)),
    Case("report", "report --from 2023-01-01 --to 2023-01-31 -o r.pdf", ("store",)),
    Case("web", "serve", ("store",)),
    Case("oidc", "serve -c oidc.yaml", ("store", "web")),
)


def prepare(folder: Path) -> Path:
    """Write the files that the commands name into a folder; the folder."""
    for name, text in _FILES.items():
        (folder / name).write_text(text)
    (folder / "channel.url").chmod(0o600)
    (folder / "root.json").write_text("{}")
    (folder / "a.evtx").write_bytes(b"ElfFile\0" + bytes(4088))
    shutil.copy(PCAPS / "dns-over-tcp.pcap", folder / "a.pcap")
    return folder
