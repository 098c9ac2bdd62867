"""Pictures of the report and of the console.

A picture is a Vega-Lite specification made from plain values, the table of the same values, and the
SVG that is rendered from it on the server: without a script, without a style attribute, and with a
title for the pointer on each mark.
"""

from pathlib import Path

FOLDER = Path(__file__).parent
"""Where the translations of the words in pictures are, for `netwatch.language.language`."""
