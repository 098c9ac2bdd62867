"""Files for other programs, which block or detect the apps of a ban.

`selection` says which rules are exported, `registry` has one row a format, and one module a format
writes and reads it. A format that cannot say a rule leaves it out, and says which.
"""
