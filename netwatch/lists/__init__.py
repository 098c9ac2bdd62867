"""Public lists of names, in the formats in which they are published.

`netwatch.lists.reader` has the table of formats, recognises a list by its content and reads it; the
formats are in `netwatch.lists.formats`. Lists are written by strangers: every read is bounded, and
a line that cannot be read is counted and named.
"""
