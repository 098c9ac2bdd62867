"""Texts for people in their language: translations by gettext, dates and numbers by Babel.

A package that prints such texts keeps its catalogues next to it, in
``locale/LANGUAGE/LC_MESSAGES/netwatch.po``. They are compiled in memory when they are used, so a
translator's change needs no build. The texts in the source are English.
"""
