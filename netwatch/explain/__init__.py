"""One incident as a page: every step from the packet to the clause, for experts and for the person
concerned.

`sources` and `stored` find the record of an incident, `steps` extracts its values, `wording`
describes what they do not prove and what would refute them, and `page` renders all of it as text.
Another page of the same incident is another renderer of the same values.
"""
