"""The formats of exports."""

from docs_generator.markdown import table
from netwatch.exports.export_format import EXPORTS, ExportFormat

_KINDS = ("suffix", "host", "glob")
_PARTLY = {"narrower": " (names that are known)", "wider": " (and more)"}


def formats_block(_: str) -> str:
    """What each format is for, which rules it can say and make exceptions for, and what is lost."""
    return table(
        ("format", "for", "rules", "can spare", "what it does not do"),
        (
            [f"`{word}`", form.program, _said(form), _spared(form), form.lost]
            for word, form in EXPORTS.items()
        ),
    )


def _said(form: ExportFormat) -> str:
    if form.needs_addresses:
        return "by address"
    kinds = [kind for kind in _KINDS if form.fits[kind] != "none"]
    return ", ".join(f"`{kind}`{_PARTLY.get(form.fits[kind], '')}" for kind in kinds)


def _spared(form: ExportFormat) -> str:
    return ", ".join(f"`{kind}`" for kind in _KINDS if kind in form.spares)
