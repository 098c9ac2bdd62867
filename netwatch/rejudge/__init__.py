"""The stored past, judged again: by other signatures, other bans, or on other dates."""
