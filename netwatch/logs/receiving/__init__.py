"""Logs that are sent instead of written: syslog over UDP, TCP and TLS, and dnstap over a socket.

`address` reads what a user writes in place of a path, `senders` is what one connection is given and
answers, divided into messages, and `receivers` has the sockets.
"""
