"""The keys of a signature file."""

from netwatch.core.file_keys import REQUIRED, Section, row

SIGNATURE_KEYS = (
    Section(
        "",
        (
            row("app", "id", REQUIRED, "the app's id: a-z, 0-9 and single hyphens; names the file"),
            row("name", "text", REQUIRED, "the app's name as people write it"),
            row("vendor", "id", REQUIRED, "the group that bans name as `vendor:…`"),
            row("category", "id", REQUIRED, "the group that bans name as `category:…`"),
            row("domains", "list of mappings", REQUIRED, "the rules, at least one"),
            row(
                "aliases",
                "list of names",
                "none",
                "CDN tails under which the zones of the app appear: with `edgesuite.net`, the "
                "suffix `tiktokcdn.com` also matches `tiktokcdn.com.edgesuite.net` and all names "
                "below it. Only a `suffix` whose role is `exclusive` or `vendor` has aliases",
            ),
            row(
                "asns",
                "list of mappings",
                "none",
                "autonomous systems that only the vendor uses; shown, but not part of a verdict",
            ),
            row(
                "addresses",
                "list of IP addresses",
                "none",
                "addresses of the app's servers. They classify flows without a name to apps that "
                "hide names, and are not part of a verdict",
            ),
            row("tests", "mapping", "none", "names that the rules must and must not match"),
        ),
    ),
    Section(
        "domains[]",
        (
            row("suffix", "name", "one of three", "matches the name itself and all names below it"),
            row("host", "name", "one of three", "matches exactly this name"),
            row(
                "glob",
                "name with `*`",
                "one of three",
                "matches names with as many labels; `*` is any text inside one label, and is not "
                "allowed in the last two labels",
            ),
            row("role", "word", REQUIRED, "`exclusive`, `vendor`, `embed` or `cdn`"),
            row(
                "confidence",
                "`probable` or `possible`",
                "none",
                "the highest [grade](../concepts/confidence.md#the-grade-of-a-rule) of the rule",
            ),
            row(
                "verified",
                "true or false",
                "true",
                "`false` if the owner of the name is not confirmed; the grade is then at most "
                "`probable`",
            ),
            row(
                "embed_reachable",
                "true or false",
                "false",
                "`true` where pages or other apps call the name too; the grade is then one step "
                "less",
            ),
            row("sources", "list of texts", REQUIRED, "tags of the sources that list this name"),
            row(
                "decide",
                "text",
                "required in a common zone",
                "why the app may claim a name that most devices contact, that belongs to a "
                "government, a public resolver or an update service, or that is private; written "
                "by a person",
            ),
        ),
    ),
    Section(
        "asns[]",
        (
            row("number", "number", REQUIRED, "the AS number, 1 to 4294967295"),
            row("name", "text", REQUIRED, "the holder of the AS"),
        ),
    ),
    Section(
        "tests",
        (
            row("match", "list of names", "none", "names that must match the app"),
            row("ignore", "list of names", "none", "names that must not match the app"),
        ),
    ),
)
"""The mappings of a signature file, with their keys."""
