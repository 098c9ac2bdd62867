"""The glob of a rule as a regular expression, for formats that have these."""

import re


def glob_pattern(glob: str) -> str:
    """A regular expression for the whole of a name, which PCRE, RE2, POSIX and Python read alike:
    each ``*`` is any text inside one label."""
    parts = (re.escape(part).replace("\\-", "-") for part in glob.split("*"))
    return f"^{'[^.]*'.join(parts)}$"


def longest_literal(glob: str) -> str:
    """The longest text without a wildcard, by which a scanner finds candidates."""
    return max(glob.split("*"), key=len)
