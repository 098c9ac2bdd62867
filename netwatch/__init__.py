"""netwatch: tells from packets whether a ban on an app was complied with.

`scan`, `names` and `match` are the Python API, which docs/guides/python.md shows. They are imported
when they are named, because the command line imports this package, too.
"""

TYPE_CHECKING = False  # to a type checker it is true, and `typing` need not be imported

if TYPE_CHECKING:
    from netwatch.api import (
        ConfigError,
        Coverage,
        Error,
        Incident,
        Match,
        Observation,
        Observations,
        ScanResult,
        Summary,
        match,
        names,
        scan,
    )

__version__ = "0.1.0"

__all__ = [
    "ConfigError",
    "Coverage",
    "Error",
    "Incident",
    "Match",
    "Observation",
    "Observations",
    "ScanResult",
    "Summary",
    "__version__",
    "match",
    "names",
    "scan",
]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """The exports of the API, imported on access (PEP 562)."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        import importlib

        found = globals()[name] = getattr(importlib.import_module("netwatch.api"), name)
        return found

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
