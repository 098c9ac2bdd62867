"""Logs that are still written, or sent: one feed of what their records say, in order of time.

`feed` reads followed files and receivers, and has the logs of what one program on one host sends;
`written` is the log of one file, and reads records whose format is known. Files are followed
through rotation and truncation: `follower` finds those of the arguments, `followed_log` is one path
with the generations that a rotation has renamed, `followed_file` one open file and its position,
which is saved with what came of it. `receivers` has the sockets for syslog over UDP, TCP and TLS,
and for dnstap; `senders` divides what one connection is given.
"""
