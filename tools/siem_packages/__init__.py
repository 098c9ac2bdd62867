"""Packages that receivers of alerts import: Sigma rules, apps, rules, dashboards and a MISP feed.

Each module makes the files of one package from the tables of the product (kinds, outcomes,
verdicts, signatures) and from the files that docs/siem ships, so a new kind is in all of them.
``python -m siem_packages`` writes build/siem; the same tree and SOURCE_DATE_EPOCH give the same
bytes.
"""
