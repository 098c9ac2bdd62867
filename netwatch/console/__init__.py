"""The web console over a store: pages that the server renders, for accounts with roles.

It only reads the facts of a store, and never runs in the process that captures. Every page on a
person, every export and every re-identification is written down before it is shown.
"""
