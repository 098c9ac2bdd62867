"""Files for other programs, which block or detect the apps of a ban.

`selection` decides which rules are exported, `export_format` has one row per format, and a module
for formats of one kind writes and reads them. A format that cannot express a rule leaves it out,
and reports it.
"""
