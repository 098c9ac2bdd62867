"""Judging again: the stored past with other signatures, bans, exemptions or dates.

`stored_runs` lists what is stored, `facts` reads the few rows that matter in the order in which the
engine saw them, `again` replays them, and `differences` compares the result with the stored
incidents and gives reasons for the differences.
"""
