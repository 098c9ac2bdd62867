"""Optional dependencies, from ``pyproject.toml``."""

import tomllib

from docs_generator.markdown import code, table
from docs_generator.pages import ROOT

FEATURES = {
    "arrow": "`names --format arrow` and `parquet`",
    "cluster": "`scan --cluster`",
    "fleet": "`fleet`, and a sensor that reports to a centre",
    "isal": "faster reading of gzip",
    "kafka": "outputs of type `kafka`",
    "logs": "Windows event logs (EVTX)",
    "nats": "outputs of type `nats`",
    "notify": "outputs of type `apprise`, and templates",
    "oidc": "single sign-on to the console",
    "postgres": "a catalogue in PostgreSQL",
    "report": "reports as HTML and PDF",
    "s3": "captures and stores at `s3://`",
    "store": "`--store`, `store`, `explain` from a store, `rejudge`, `report`, `backup`",
    "updates": "`signatures update` and `publish`",
    "web": "`serve`",
}
"""What each extra is for."""

OTHERS = {"docs", "fuzz", "release", "test"}
"""Extras for the development of netwatch."""


def block(_: str) -> str:
    """The extras for users: name, what needs it, its libraries."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        extras = tomllib.load(file)["project"]["optional-dependencies"]
    if set(extras) - OTHERS != set(FEATURES):
        raise ValueError(f"extras without a description: {set(extras) - OTHERS ^ set(FEATURES)}")
    return table(
        ("extra", "needed for", "libraries"),
        ([code(name), text, ", ".join(extras[name])] for name, text in FEATURES.items()),
    )
