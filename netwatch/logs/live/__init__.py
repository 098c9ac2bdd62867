"""Logs that are still written, or sent: one feed of what their records say, in order of time.

A source yields batches of records (`source`): `receivers` has the sockets for syslog over UDP, TCP
and TLS, and for dnstap; files are followed through rotation and truncation, where `follower` finds
those of the arguments, `followed_log` is one path with the generations that a rotation has renamed,
and `followed_file` one open file and its position, which is saved with what came of it. `written`
has the logs that these are, each with its reader, and `feed` puts what they say into order.
"""
