"""Pseudonyms: who a person is, for readers who must not know it, by a key that others hold."""
