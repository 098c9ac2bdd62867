"""Texts in another language from the command line, which imports gettext with patterns that are
compiled late."""

import subprocess
import sys

CODE = """
import netwatch.cli
from pathlib import Path
from netwatch.charts import FOLDER
from netwatch.language.language import language
print(language("fr", FOLDER).say_count("%(count)s incident", "%(count)s incidents", 2))
"""


def test_plural_forms_are_read_where_the_command_line_was_imported_first() -> None:
    run = subprocess.run(
        [sys.executable, "-c", CODE], capture_output=True, text=True, check=True, encoding="utf-8"
    )
    assert run.stdout.strip() == "2 incidents"
