"""Writes the man pages and the completions of shells, from the tables of the documentation.

Commands, options and examples come from the argument parsers, the keys of netwatch.yaml from the
table of keys, and the exit status from its reference page. ``packaging/manual.py OUT`` writes all
of them; nothing of it is committed.
"""
