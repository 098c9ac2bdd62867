"""Signatures, bans and policy: from a name to an app, and from a contact to a verdict."""
