"""Logs as they are written or sent, as one feed of what their records say, in order of time.

`feed` reads followed files and receivers, and has the logs of what one program on one host sends;
`written` is the log of one file, and reads records whose format is known.
"""
