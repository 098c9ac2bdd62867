"""A second reader of evidence: scapy and dpkt read what packets show, without any of our parsers.

Nothing here imports the packet readers of `netwatch scan`. A file is read twice, by each library
with its own reader of pcapng and of headers (`evidence_file`, `scapy_reader`, `dpkt_reader`). What
neither library does is written from scratch and small: fragments and streams reassembled (`flows`),
messages found in them (`messages`), QUIC Initial packets opened (`quic`). `evidence_file` has the
claims of a file or an alert, `check` tests whether the packets show them.
"""
