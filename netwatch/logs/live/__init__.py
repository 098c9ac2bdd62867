"""Logs as they are written or sent, as one feed of what their records say, in order of time.

`feed` reads followed files and receivers, `written` is the log of one file, `sent` that of what one
program on one host sends, and `record_reading` reads records whose format is known.
"""
