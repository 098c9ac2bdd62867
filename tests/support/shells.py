"""What a shell proposes at the end of a command line, asked of the shells themselves.

Each function takes the folder that `packaging/manual.py` has written, a folder in which the shell
runs (beside it there is room for files), and command lines, and returns what is proposed for the
last word of each.
"""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

_TIMEOUT = 60.0

_BASH = """
compopt() { :; }  # works only while somebody types
source "$1"; shift
for line; do
    read -ra COMP_WORDS <<<"$line"
    [[ $line == *' ' ]] && COMP_WORDS+=('')
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMPREPLY=()
    specification=($(complete -p netwatch))
    "${specification[-2]}" netwatch "${COMP_WORDS[-1]}" "${COMP_WORDS[-2]}"
    printf '%s\\n' "${COMPREPLY[@]}" '-- END'
done
"""

_ZSH_TYPIST = """
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell "source ${(q)1}"
: >$PROPOSED
shift
integer lines=0
for line; do
    zpty -w -n shell $'\\C-u'$line$'\\t'
    lines+=1
    until (( $(grep -c '^-- END' $PROPOSED) >= lines )); do
        zpty -r -t shell ignored
        sleep 0.01
    done
done
zpty -d shell
"""

_ZSH_SHELL = """
PS1=
fpath=($COMPLETIONS $fpath)
autoload -Uz compinit && compinit -u -D
# Every function of completion gives what it has found to compadd.
compadd() {
    local -a found
    if [[ ${@[1,(i)(-|--)]} != *-(O|A|D)\\ * ]]; then
        builtin compadd -O found "$@"
        print -rl -- $found >>$PROPOSED
    fi
    builtin compadd "$@"
}
propose() {
    _main_complete
    print -r -- '-- END' >>$PROPOSED
}
zle -C propose list-choices propose
bindkey '^I' propose
"""


def bash_proposals(manual: Path, folder: Path, lines: Sequence[str]) -> list[set[str]]:
    """What bash proposes; a folder has a slash at its end in no shell here."""
    command = ["bash", "--norc", "-c", _BASH, "bash", manual / "bash/netwatch", *lines]
    return _proposals(_run(command, folder, {}))


def fish_proposals(manual: Path, folder: Path, lines: Sequence[str]) -> list[set[str]]:
    """What fish proposes; fish also proposes what contains the word."""
    home = folder.parent / "home of fish"
    shutil.copytree(manual / "fish", home / "fish" / "completions")
    # fish completes the arguments of commands that there are.
    (home / "netwatch").write_text("#!/bin/sh\n")
    (home / "netwatch").chmod(0o755)
    script = "for line in $argv; complete -C $line; echo '-- END'; end"
    path = f"{home}:{os.environ['PATH']}"
    environment = {"HOME": str(home), "XDG_CONFIG_HOME": str(home), "PATH": path}
    said = _run(["fish", "-c", script, *lines], folder, environment)
    # After a tab there is a description.
    return _proposals("\n".join(line.split("\t")[0] for line in said.splitlines()))


def zsh_proposals(manual: Path, folder: Path, lines: Sequence[str]) -> list[set[str]]:
    """What zsh proposes to somebody who types the lines into a terminal."""
    proposed, shell = folder.parent / "proposed", folder.parent / "shell.zsh"
    shell.write_text(_ZSH_SHELL)
    environment = {
        "COMPLETIONS": str(manual / "zsh"),
        "HOME": str(folder.parent),
        "PROPOSED": str(proposed),
        "TERM": "dumb",
    }
    _run(["zsh", "-f", "-c", _ZSH_TYPIST, "zsh", str(shell), *lines], folder, environment)
    return _proposals(proposed.read_text())


def _run(command: Sequence[str | Path], folder: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=_TIMEOUT,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


def _proposals(said: str) -> list[set[str]]:
    found: list[set[str]] = [set()]
    for line in said.splitlines():
        if line == "-- END":
            found.append(set())
        elif line:
            found[-1].add(line.rstrip("/"))
    return found[:-1]
