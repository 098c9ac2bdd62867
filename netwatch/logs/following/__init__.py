"""Logs that are still written: files are followed through rotation and truncation.

`follower` finds the files of the arguments and reads what is appended, `followed_log` is one path
with the generations that a rotation has renamed, `followed_file` is one open file. What was read is
a `position.Position`, which is saved with what came of it, so that the next run continues there.
"""
