"""Public lists of names, in the formats in which they are published.

`netwatch.lists.reader` has the table of formats, recognises the format of a list by its content and
reads it; the formats are in `netwatch.lists.formats`. Lists are untrusted input: every read is
bounded, and lines that cannot be read are counted and reported.
"""
