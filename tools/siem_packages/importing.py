"""The scripts that send the files of a package to a server, in one command and in the right order.

Servers answer 200 also if they refused an object, so a script reads each answer, and ends with the
first that is not what it should be.
"""

from collections.abc import Sequence
from dataclasses import dataclass

_HEAD = """#!/bin/sh
# {summary}
# {usage}
set -eu
cd "$(dirname "$0")"
{needs}

# send EXPECTED METHOD ADDRESS OPTIONS...: the credentials come by standard input, so that no list
# of processes shows them.
send() {{
    expected=$1 method=$2 address=$3
    shift 3
    escaped=$(printf %s "${secret}" | sed 's/[\\\\"]/\\\\&/g')
    answer=$(printf '{option} = "{value}%s"\\n' "$escaped" |
        curl --config - --silent --show-error --fail-with-body -X "$method" "$@" "$address") || {{
        echo "$method $address: $answer" >&2
        exit 1
    }}
    case $answer in
    *"$expected"*) echo "$method $address: done" ;;
    *) echo "$method $address: $answer" >&2 && exit 1 ;;
    esac
}}

"""


@dataclass(frozen=True)
class Call:
    """A request that sends a file; `address` may have variables of the shell. An `upload` is what
    saved objects are imported by, the others are bodies in JSON."""

    address: str
    file: str
    upload: bool = False


@dataclass(frozen=True)
class Login:
    """The variable that has the credentials, and the option of curl that sends them."""

    secret: str
    option: str
    value: str = ""


def script(
    summary: str, variables: Sequence[str], login: Login, xsrf: str, calls: Sequence[Call]
) -> str:
    """A script for sh and curl 7.76 or newer. `xsrf` is the header that uploads have to have."""
    asked = [*variables, login.secret]
    head = _HEAD.format(
        summary=summary,
        usage=" ".join(["Usage:", *(f"{name}=..." for name in asked), "./import.sh"]),
        needs="\n".join(f': "${{{name}:?}}"' for name in asked),
        secret=login.secret,
        option=login.option,
        value=login.value,
    )
    return head + "".join(_line(call, xsrf) for call in calls)


def _line(call: Call, xsrf: str) -> str:
    if call.upload:
        return (
            f'send \'"success":true\' POST "{call.address}?overwrite=true" \\\n'
            f"    -H '{xsrf}: true' --form file=@{call.file}\n"
        )
    return (
        f'send \'"acknowledged":true\' PUT "{call.address}" \\\n'
        f"    -H 'Content-Type: application/json' --data-binary @{call.file}\n"
    )
