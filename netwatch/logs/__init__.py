"""Logs of resolvers, proxies, firewalls and sensors, as sources of names.

A log is read in four steps: `log_file` divides a file into records (lines, or the rows and frames
of binary formats), `carriers` takes off what carried a line (syslog, journald, Docker), the module
of its format reads the record into the values of `records`, and `netwatch.engine` judges these like
packets. Followed files and received logs come from `live`. A new format is one module, or a row of
`products`, and one row of `registry.LOG_FORMATS`.
"""
