"""Situations with known answers: one module a topic, each with a tuple `SITUATIONS`."""
