"""A second reader of evidence: scapy and dpkt say what packets show, without any of our parsers.

Nothing here imports what reads packets for `netwatch scan`.
"""
