"""Every error that a command prints has one form: ``netwatch: PLACE: what is wrong; what to do``.

The table has a broken input of each kind: files that a user writes, files that netwatch reads, and
command lines. What is expected instead says what to do.
"""

import re
from pathlib import Path

import pytest

from netwatch.cli import main

PLACE = r"(?:[^\s:;'](?:[^:;']|:(?=//|\d))*: )?"
"""A file with its line, a URL, an option or a command."""

FORM = re.compile(
    rf"netwatch: {PLACE}"
    r"(?:.*\bexpected .+"  # …, found …
    r"|[^;]+; .+"
    r"|.*cannot be (?:read|written): .+"
    r"|no such file or folder)"
)

TEXT = {
    "version.yaml": "version: 2\n",
    "range.yaml": "version: 1\nnetworks: [{name: a, cidrs: [10.0.0.0/40], class: service}]\n",
    "key.yaml": "version: 1\nnetwork: []\n",
    "syntax.yaml": "version: [\n",
    "empty.yaml": "",
    "pack.yaml": "version: 1\nbans: [{pack: be-fed-tiktok-2032}]\n",
    "ban.yaml": "version: 1\nbans: [{id: x, authority: A, apps: [tictok], forbids: [service],"
    " from: 2023-13-01}]\n",
    "devices.yaml": "version: 1\ndevices: {inventory: devices.csv}\n",
    "devices.csv": "id,mac,ip\nws,zz:zz,10.0.0.999\nws,,\n",
    "no-devices.yaml": "version: 1\ndevices: {inventory: missing.csv}\n",
    "leases.yaml": "version: 1\ndevices: {leases: [{path: leases.txt, format: dnsmasq}]}\n",
    "leases.txt": "no lease at all\n",
    "geoip.yaml": "version: 1\ngeoip: {country: missing.mmdb}\n",
    "signature.yaml": "version: 1\nsignatures: [app.yaml]\n",
    "app.yaml": "app: x\n",
    "output.yaml": "version: 1\noutputs: [{name: a, type: splonk}]\n",
    "secret.yaml": "version: 1\noutputs: [{name: a, type: http, url: 'https://a.example/',"
    " token: {file: missing.token}}]\n",
    "exemption.yaml": "version: 1\nexemptions: [{device: x}]\n",
    "store.yaml": "version: 1\nstore: {path: a, retention: {observations: 3 weeks}}\n",
    "console.yaml": "version: 1\nconsole: {listen: nowhere}\n",
    "metrics.yaml": "version: 1\nmetrics: {listen: 9477}\n",
    "fleet.yaml": "version: 1\nfleet: {sensor: a, centre: 'http://x', credentials: missing}\n",
    "junk.pcap": "this is no capture\n",
    "alerts.jsonl": "this is no alert\n",
    "good.yaml": "version: 1\n",
}

BROKEN = [
    *(
        (2, f"policy check -c {name}")
        for name in TEXT
        if name.endswith(".yaml") and name not in ("app.yaml", "good.yaml", "leases.yaml")
    ),
    (2, "policy check -c missing.yaml"),
    (2, "policy check -c ."),
    (2, "policy explain --device 10.0.0.1 --name a.example --time yesterday"),
    (1, "scan -q -c good.yaml junk.pcap"),
    (1, "scan -q -c good.yaml missing.pcap"),
    (2, "scan"),
    (2, "scan junk.pcap --as zeke"),
    (2, "scan junk.pcap --year 26"),
    (2, "scan junk.pcap --timezone Mars"),
    (2, "scan junk.pcap --formt jsonl"),
    (2, "scan junk.pcap --jobs many"),
    (2, "scan foo://bar"),
    (1, "scan -q -c good.yaml junk.pcap -o missing/out.jsonl"),
    (2, "names junk.pcap --format xml"),
    (2, "live"),
    (2, "signatures show tictok"),
    (2, "signatures drift --app tictok junk.pcap"),
    (1, "signatures import --app tiktok missing"),
    (2, "signatures export --as rpz --app tictok"),
    (2, "signatures update -c good.yaml"),
    (1, "explain abc --alerts alerts.jsonl"),
    (1, "explain abc --store-path missing"),
    (1, "store status --store-path missing"),
    (2, "store query incidents --since junk --store-path missing"),
    (2, "store prune -c good.yaml --store-path missing"),
    (1, "store verify --store-path missing"),
    (2, "store qury"),
    (1, "rejudge -c good.yaml --store-path missing"),
    (2, "report --from 2023-02-01 --to 2023-01-02 --store-path missing"),
    (2, "report --from 2023-01-01 --to 2023-01-02 -o a.doc --store-path missing"),
    (2, "serve --listen nowhere"),
    (1, "serve -c good.yaml --store-path missing"),
    (2, "users add bob --role king --store-path missing"),
    (2, "tokens add a --role king --purpose x --store-path missing"),
    (2, "tokens add a --role dpo --purpose x --network nowhere -c good.yaml --store-path missing"),
    (2, "tokens remove a --store-path tokens"),
    (2, "store query incidents --url nowhere"),
    (2, "store query flows --url https://netwatch.example"),
    (2, "store query incidents --url https://netwatch.example --store-path missing"),
    (2, "store query incidents --url https://netwatch.example --token-file missing.token"),
    (2, "store query incidents --url https://netwatch.example --ca missing.pem"),
    (1, "store query incidents --url http://127.0.0.1:1"),
    (2, "store query incidents --ca missing.pem"),
    (2, "bans show nope"),
    (2, "bans review --within soon"),
    (1, "outputs status -c good.yaml"),
    (2, "outputs test a -c good.yaml"),
    (2, "fleet centre -c good.yaml"),
    (2, "fleet revoke a -c good.yaml"),
    (2, "schema alrt"),
    (2, "completion tcsh"),
    (1, "ledger status missing"),
    (1, "backup copy --store-path missing"),
    (1, "restore missing"),
    (2, "fooo"),
]


@pytest.mark.parametrize(("status", "words"), BROKEN, ids=[words for _, words in BROKEN])
def test_an_error_says_where_what_is_wrong_and_what_to_do(
    status: int,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, text in TEXT.items():
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    try:
        found = main(words.split())
    except SystemExit as ended:
        found = int(ended.code or 0)
    captured = capsys.readouterr()
    assert (found, captured.out) == (status, "")
    lines = captured.err.splitlines()
    assert lines
    assert [line for line in lines if not FORM.fullmatch(line)] == []


@pytest.mark.parametrize(
    "line",
    [
        "a.yaml:2: 'class': expected service, found servce",
        "usage: netwatch scan [-h]",
        "netwatch scan: error: the following arguments are required: PATH",
        "netwatch: a.yaml is damaged",
    ],
)
def test_other_forms_are_found_out(line: str) -> None:
    assert FORM.fullmatch(line) is None
