"""The commands of netwatch that pages show."""

import re
import shlex

NOT_RUN = re.compile(r"<!-- not run: (?P<reason>[^>]+?) -->\n+$")
"""A mark before a block whose commands are left out, with the reason."""

FENCE = re.compile(r"^```(?:sh|console)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
SHELL = {"|", "||", "&&", ";", ">", "<", ">>", "2>", "&", "2>&1"}
WRAPPERS = {"sudo", "$", "time"}
GENERATED = re.compile(r"^<!-- generated: .*?^<!-- end -->$", re.MULTILINE | re.DOTALL)


def commands(text: str) -> list[list[str]]:
    """The words of each command of netwatch in the blocks of a page, without the shell's."""
    found = []
    for block in FENCE.finditer(text):
        if NOT_RUN.search(text[: block.start()]):
            continue
        for line in block["text"].replace("\\\n", " ").splitlines():
            found += [words for words in _simple(line) if words]
    return found


def _simple(line: str) -> list[list[str]]:
    """The commands of netwatch in a line."""
    reader = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
    reader.whitespace_split = True
    try:
        words = list(reader)
    except ValueError:
        return []
    found: list[list[str]] = []
    here: list[str] = []
    for word in [*words, ";"]:
        if word in SHELL:
            while here and (here[0] in WRAPPERS or re.fullmatch(r"[A-Z_]+=.*", here[0])):
                here = here[1:]
            if here and (here[0] == "netwatch" or here[0].endswith("/netwatch")):
                found.append(here[1:])
            here = []
        else:
            here.append(word)
    return found


def by_hand(text: str) -> str:
    """A page without its generated parts, whose commands ran when the part was generated."""
    return GENERATED.sub("", text)
