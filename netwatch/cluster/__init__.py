"""Archives: a scan whose results are kept unit by unit, on one machine or on many.

A *unit* is a capture: a file, or files that are pieces of one. Its result goes into a *ledger*, a
folder or a bucket, under a name derived from its inputs (`ledger`). Workers, processes of this
machine or of a Dask cluster (`workers`), judge units and fold their results (`tasks`); `archive` is
the run as a whole. Nothing in a ledger is ever unpickled.
"""
