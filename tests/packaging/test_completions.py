"""The completions, by bash, zsh and fish themselves."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from support.programs import needs
from support.shells import bash_proposals, fish_proposals, zsh_proposals

from netwatch.cli import COMMANDS, main

EXPECTED = {
    "netwatch sc": {"scan", "schema"},
    "netwatch policy ": {"check", "document", "explain"},
    "netwatch fleet en": {"enrol"},
    "netwatch scan --covera": {"--coverage"},
    "netwatch scan --format jsonl --covera": {"--coverage"},
    "netwatch scan -q --only l": {"logs"},
    "netwatch names --format par": {"parquet"},
    "netwatch users role maria dp": {"dpo"},
    "netwatch users add --role adm": {"admin"},
    "netwatch store query inc": {"incidents"},
    "netwatch live --source ri": {"ring"},
    "netwatch live -i l": {"lo"},
    "netwatch live --user roo": {"root"},
    "netwatch scan one": {"one.pcap"},
    "netwatch scan one.pcap two": {"two.pcap"},
    "netwatch scan one.pcap --jobs 2 two": {"two.pcap"},
    "netwatch scan -c sit": {"site.yaml"},
    "netwatch scan --evidence ": {"proof"},
}
"""What is proposed for the last word of a line, in the folder that `folder` makes."""

SHELLS = [
    pytest.param(bash_proposals, id="bash"),
    pytest.param(zsh_proposals, id="zsh", marks=needs("zsh")),
    pytest.param(fish_proposals, id="fish", marks=needs("fish")),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "captures"
    (folder / "proof").mkdir(parents=True)
    for name in ("one.pcap", "two.pcap", "site.yaml"):
        (folder / name).touch()
    return folder


@pytest.mark.parametrize("proposals", SHELLS)
def test_a_shell_proposes_commands_options_words_and_files(
    manual: Path, folder: Path, proposals: Callable[..., list[set[str]]]
) -> None:
    if not Path("/sys/class/net/lo").exists():
        pytest.skip("there is no interface lo")
    found = proposals(manual, folder, list(EXPECTED))
    assert dict(zip(EXPECTED, found, strict=True)) == EXPECTED


@pytest.mark.parametrize("proposals", SHELLS)
def test_a_shell_proposes_every_command(
    manual: Path, folder: Path, proposals: Callable[..., list[set[str]]]
) -> None:
    (found,) = proposals(manual, folder, ["netwatch "])
    assert found == set(COMMANDS)


@pytest.mark.parametrize(
    ("shell", "path"),
    [
        ("bash", "bash/netwatch"),
        pytest.param("zsh", "zsh/_netwatch", marks=needs("zsh")),
        pytest.param("fish", "fish/netwatch.fish", marks=needs("fish")),
    ],
)
def test_a_shell_accepts_its_file(manual: Path, shell: str, path: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [shell, "-n", manual / path],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "HOME": str(tmp_path)},
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_command_prints_what_packages_install(
    manual: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["completion", "bash"]) == 0
    assert capsys.readouterr().out == (manual / "bash" / "netwatch").read_text(encoding="utf-8")
