"""Files for other programs, which block or detect the apps of a ban.

`selection` says which rules are exported, `export_format` has one row a format, and a module for
formats of one kind writes and reads them. A format that cannot say a rule leaves it out, and says
which.
"""
