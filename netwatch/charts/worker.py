"""The process that renders: ``python -m netwatch.charts.worker``.

It reads requests from standard input, one a line of JSON: the specification with its locales; and
answers on standard output with a line of JSON: ``svg``, or ``error``. The library starts a
JavaScript engine, which takes seconds once, and holds the lock of the interpreter while it renders.
So it has a process of its own, which ends when its input does.
"""

import json
import os
import sys
from collections.abc import Mapping
from typing import Any

VERSION = "6.4"
"""The version of Vega-Lite."""

NO_ADDRESS = ["netwatch:"]
"""What a specification may load data from: a scheme that nothing has."""


def render(request: Mapping[str, Any]) -> str:
    """The SVG of a request. Raises `ValueError` for a specification that is none."""
    import vl_convert

    return vl_convert.vegalite_to_svg(
        request["specification"],
        vl_version=VERSION,
        allowed_base_urls=NO_ADDRESS,
        format_locale=request["numbers"],
        time_format_locale=request["times"],
    )


def main() -> None:
    """Answer requests until there are none."""
    # Whatever the library prints must not get among the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for line in sys.stdin:
        try:
            answer = {"svg": render(json.loads(line))}
        except (ValueError, KeyError, TypeError) as error:
            answer = {"error": str(error)}
        answers.write(f"{json.dumps(answer)}\n")
        answers.flush()


if __name__ == "__main__":
    main()
