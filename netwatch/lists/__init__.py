"""Public lists of names, in the formats in which they are published.

`netwatch.lists.registry` has the table of formats, one module each, and recognises a list by its
content; `netwatch.lists.reader` reads one. Lists are written by strangers: every read is bounded,
and a line that cannot be read is counted and named.
"""
