"""The process that makes a PDF: ``python -m netwatch.report.pdf_worker OUTPUT SECONDS BYTES``.

It reads a line of JSON from standard input, the HTML and the attachments, and writes a PDF/UA file.
The library keeps memory between documents, and takes minutes where a table is long, so it has a
process of its own with limits on both. Nothing is loaded from anywhere.
"""

import json
import sys

from netwatch.core.system.processes import limit_memory, limit_seconds

NO_LIBRARY = 3
"""The exit status where the libraries of the system are missing."""


def main() -> int:
    """Make the file; the exit status."""
    output, seconds, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    limit_seconds(seconds)
    limit_memory(size)
    request = json.load(sys.stdin)
    try:
        import weasyprint
        from weasyprint.urls import URLFetcher
    except OSError as error:
        print(error, file=sys.stderr)
        return NO_LIBRARY
    attachments = [
        weasyprint.Attachment(string=text, name=name, description=name, relationship="Data")
        for name, text in request["attachments"].items()
    ]
    # A report refers to nothing outside of itself.
    nothing = URLFetcher(allowed_protocols=())
    document = weasyprint.HTML(string=request["html"], url_fetcher=nothing, base_url=None)
    document.write_pdf(output, pdf_variant="pdf/ua-1", attachments=attachments)
    return 0


if __name__ == "__main__":
    sys.exit(main())
