"""A fleet on one machine, for people to look at."""
