"""Judging again: the stored past under other signatures, bans, exemptions or dates.

`stored_runs` says what there is, `facts` reads the few rows of it that matter in the order in which
an engine met them, `again` replays them, and `differences` compares the result with the incidents
that were stored, and says why they differ.
"""
