"""Lists for other programs, which block what a ban forbids.

`names` says which names may be blocked, and one module a format writes them. A format that cannot
say a rule leaves it out, and says which.
"""
