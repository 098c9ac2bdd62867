"""Texts in the reader's language: translations with gettext, dates and numbers with Babel.

A package that prints such texts keeps its catalogues in ``locale/LANGUAGE/LC_MESSAGES/netwatch.po``
next to its modules. They are compiled in memory when they are used, so a change of a translation
needs no build. The texts in the source are English.
"""
