"""Contacts become incidents, and incidents have evidence."""
