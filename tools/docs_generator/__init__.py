"""Writes the parts of the documentation that come from the code.

A page under ``docs/``, or the README, marks such a part::

    <!-- generated: NAME ARGUMENTS -->
    (replaced by what `blocks.BLOCKS` gives for NAME)
    <!-- end -->

``python -m docs_generator`` (with ``tools`` on the import path; ``make docs`` does that) rewrites
all marked parts in place. ``--check`` writes nothing and fails if a part is out of date. The parts
are committed, so that the pages can be read in the repository.
"""
