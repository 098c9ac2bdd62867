"""The formats of exports."""

from docs_generator.markdown import table
from netwatch.exports.export_format import EXPORTS, ExportFormat

_FITS = {
    "exact": "yes",
    "narrower": "names that are known",
    "wider": "yes, and more",
    "none": "no",
}


def formats_block(_: str) -> str:
    """What each format is for, which rules it can say, and what is lost."""
    rows = [
        [f"`{word}`", form.program, *_said(form), _spared(form), form.lost]
        for word, form in EXPORTS.items()
    ]
    head = ("format", "for", "`suffix`", "`host`", "`glob`", "can spare", "what it does not do")
    return table(head, rows)


def _said(form: ExportFormat) -> list[str]:
    if form.needs_addresses:
        return ["addresses"] * 3
    return [_FITS[form.fits[kind]] for kind in ("suffix", "host", "glob")]


def _spared(form: ExportFormat) -> str:
    return ", ".join(f"`{kind}`" for kind in ("suffix", "host", "glob") if kind in form.spares)
