"""Records in the form that a person, a spreadsheet or a SIEM expects: one module per format.

`base` says what a format provides, `registry` lists them all. `jsonl` defines the records
themselves; every other format except `table` is derived from these. The formats for SIEMs
share one reading of an alert (`alert_summary`) and one way to write times, addresses and hostile
text (`values`).
"""
