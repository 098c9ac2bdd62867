"""The period report: was a ban complied with, from one day to another, and what could not be seen?

The content of the report is collected once as frozen values, which are its JSON record; the HTML
page and the PDF are two renderings of that record.
"""
