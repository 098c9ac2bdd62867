"""One incident as a page: every step from the packet to the clause, for experts and for the person
concerned."""
