"""The words of a ban in other languages, under ``texts`` and the code of a language, so that a
report or page has one language. They decide nothing."""

from netwatch.core.verdict import Ban, BanTexts

LANGUAGES = ("en", "fr", "nl", "de")
"""The languages of reports."""


def words_in(ban: Ban, language: str) -> BanTexts:
    """The words of a ban in a language; those that have no translation are as they were written."""
    found = next((text for text in ban.texts if text.language == language), BanTexts(language))
    return BanTexts(
        language,
        found.authority or ban.authority,
        found.legal_basis or ban.legal_basis,
        found.bases or tuple(period.basis for period in ban.periods),
    )
