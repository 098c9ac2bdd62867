"""A second reader of evidence: scapy and dpkt say what packets show, without any of our parsers.

Nothing here imports what reads packets for `netwatch scan`. A file is read twice, by each library
with its own reader of pcapng and of headers (`evidence_file`, `scapy_reader`, `dpkt_reader`). What
neither library does is written from scratch and small: fragments and streams put together
(`flows`), messages found in them (`messages`), QUIC Initial packets opened (`quic`). `pieces` says
what a file or an alert claims, `check` whether the packets show it.
"""
