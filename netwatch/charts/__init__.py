"""Charts of the report and of the console.

A chart is a Vega-Lite specification made from plain values, a table of the same values, and the SVG
rendered from it on the server, without scripts and style attributes, and with a tooltip on each
mark.
"""

from pathlib import Path

FOLDER = Path(__file__).parent
"""The folder with the translations of the words in charts, for `netwatch.language.language`."""
