"""The shipped signatures of apps and packs of bans, as package data."""
