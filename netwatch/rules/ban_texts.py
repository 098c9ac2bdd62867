"""The words of a ban in other languages, under ``texts`` and the code of a language, so that a
report or page has one language. They decide nothing."""

from netwatch.core.user_yaml import Fields
from netwatch.core.verdict import Ban, BanTexts

LANGUAGES = ("en", "fr", "nl", "de")
"""The languages of reports."""


def words_in(ban: Ban, language: str) -> BanTexts:
    """The words of a ban in a language; those that have no translation are as they were written."""
    found = next((each for each in ban.texts if each.language == language), BanTexts(language))
    return BanTexts(
        language,
        found.authority or ban.authority,
        found.legal_basis or ban.legal_basis,
        found.bases or tuple(period.basis for period in ban.periods),
    )


def read_texts(fields: Fields, periods: int) -> tuple[BanTexts, ...]:
    """The words of a ban with so many periods. Mistakes are noted."""
    listed = fields.nested("texts", "texts")
    if listed is None:
        return ()
    found = []
    for language in LANGUAGES:
        words = listed.nested(language, "a text")
        if words is not None:
            found.append(_read_words(words, language, periods))
    listed.reject_unknown()
    return tuple(found)


def _read_words(fields: Fields, language: str, periods: int) -> BanTexts:
    bases = tuple(text for _, text in fields.texts("bases"))
    if bases and len(bases) != periods:
        fields.add_problem(
            "bases",
            f"'bases': expected a text for each of the {periods} periods, found {len(bases)}",
        )
    words = BanTexts(language, fields.text("authority"), fields.text("legal_basis"), bases)
    fields.reject_unknown()
    return words
