"""What packages and containers leave out of the libraries of Python, and why.

Also a program, which removes it from a folder `site-packages`. It has no imports but those of
Python's own library: the Containerfile runs it.
"""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

_LEFT_OUT = ("*.dist-info/RECORD", "*.dist-info/INSTALLER", "*.dist-info/REQUESTED")
_ONLY_TO_BUILD = (".a", ".c", ".cc", ".h", ".hpp", ".pxd", ".pxi", ".pyi", ".pyx", ".sh")
"""Files of libraries that only those read who compile, check or test them."""

_OF_REPOSITORIES = (".gitignore", ".gitattributes")

_UNUSED = (
    "PIL/_avif.*",  # pictures that no report has
    "pillow.libs/libavif-*",
    "anyio/_backends/_trio.py",  # another event loop
    "apprise/assets/themes",  # icons for a desktop
    "apprise/cli.py",
    "apprise/i18n/*/",  # translations of its own program
    "babel/messages/[ejs][!_]*.py",  # what collects texts from source code
    "confluent_kafka/a*",  # these three need libraries that are not there
    "confluent_kafka/kafkatest",
    "confluent_kafka/schema_registry",
    "duckdb/experimental",  # the interface of Spark
    "isal/igzip*.py",  # gzip is read with igzip_lib
    "isal/isal_zlib.*",
    "lz4/block",  # captures are frames
    "markdown_it*",  # rich would show Markdown and source code with these three
    "mdurl*",
    "pygments*",
    "pyarrow/*encryption*",  # of columns in files
    "pyarrow/*feather*",  # these two are other formats of files
    "pyarrow/*orc*",
    "pyarrow/*flight*",  # a server of tables
    "pyarrow/*s3*",  # fsspec opens what is remote
    "pyarrow/_azurefs.*",
    "pyarrow/_gcsfs.*",
    "pyarrow/_hdfs.*",
    "pyarrow/interchange",  # tables of other libraries
    "pyarrow/_pyarrow_cpp_tests.*",
    "pyarrow/*substrait.*[!0-9]",  # plans of other programs; its library is linked with
    "pyarrow/libarrow*.so",  # copies of libarrow*.so.NUMBER, which is what is linked with
    "pyarrow/libarrow*.so.*.*.*",
    "pyphen/dictionaries/hyph_[!defn]*.dic",  # languages that no report is in
    "pyphen/dictionaries/hyph_de_[!D]*.dic",
    "rich/markdown.py",
    "rich/syntax.py",
    "rich/traceback.py",
    "scapy/arch/bpf",  # other systems
    "scapy/arch/windows",
    "scapy/layers/msrpce/msnrpc.py",  # what takes part in a protocol
    "scapy/layers/msrpce/raw/ms_nrpc.py",
    "scapy/layers/tls/automaton*",
    "scapy/modules",
    "scapy/tools",
    "securesystemslib/_vendor/ed25519/test_data",
    "sqlalchemy/dialects/m[sy]*",  # databases that no store is in
    "sqlalchemy/dialects/oracle",
    "sqlalchemy/ext",  # objects for rows
    "sqlalchemy/orm",
    "sqlalchemy/testing",
    "urllib3/contrib/emscripten",  # for browsers
    "zstandard/*_cffi.*",  # for other interpreters
)
"""Parts of libraries that nothing in netwatch imports, and nothing that it imports."""

_SCAPY_CONTRIB = (
    *("__init__", "avs", "bier", "chdlc", "erspan", "ethercat", "etherip", "geneve", "gtp"),
    *("http2", "mpls", "nsh", "rtps", "tzsp"),
)
"""The protocols of scapy's ``contrib`` that the second reader imports, and what those import."""

ONLY_FOR = {
    # geoip2 asks a service with them, fsspec opens a URL
    "aiobotocore": (
        *("aiohappyeyeballs", "aiohttp", "aiosignal", "attr", "attrs", "frozenlist", "multidict"),
        *("propcache", "yarl"),
    ),
    "weasyprint": ("cffi", "pycparser"),  # cryptography needs no more than _cffi_backend
}
"""Libraries that others require, but only these two import."""

ONLY_FOR_CONSOLE = (*(name for names in ONLY_FOR.values() for name in names), "click")
"""Libraries that others require, but only what needs the extras of netwatch-console imports."""

_LOCALES = ("root", "en", "en_001", "en_GB", "fr", "nl", "de")
"""What netwatch speaks. The data of all locales are a fifth of the environment."""


def prune(target: Path, without: Sequence[str] = ()) -> None:
    """Remove what differs between two builds, and what is of no use at run time."""
    for name in without:
        found = [
            *target.glob(name),
            *target.glob(f"{name}.py"),
            *target.glob(f"{name}-*.dist-info"),
        ]
        if not found:
            sys.exit(f"{name} is no longer there to be left out of {target.name}")
        for path in found:
            _remove(path)
    for pattern in _LEFT_OUT:
        for path in target.glob(pattern):
            path.unlink()
    for path in target.glob("*.dist-info/direct_url.json"):
        path.unlink()
    for path in target.glob("babel/locale-data/*.dat"):
        if path.stem not in _LOCALES:
            path.unlink()
    contrib = target / "scapy" / "contrib"
    for path in {
        *(each for pattern in ("*/tests", *_UNUSED) for each in target.glob(pattern)),
        *(each for each in contrib.glob("*") if each.stem not in _SCAPY_CONTRIB),
    }:
        _remove(path)
    for path in target.rglob("*"):
        if not path.is_file():
            continue
        if path.suffix in _ONLY_TO_BUILD or path.name in _OF_REPOSITORIES:
            path.unlink()
        else:
            # Nothing in it is a program, and wheels have files of any mode.
            path.chmod(0o644)


def prune_bytecode(target: Path) -> None:
    """Remove the bytecode of what is not there, and of compiled modules: these hide their source,
    which only tracebacks read."""
    for path in target.rglob("__pycache__/*.pyc"):
        folder, name = path.parent.parent, path.name.partition(".")[0]
        if not (folder / f"{name}.py").exists() or [*folder.glob(f"{name}.*.so")]:
            path.unlink()


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    absent = (names for user, names in ONLY_FOR.items() if not (folder / user).exists())
    prune(folder, [name for names in absent for name in names])
    prune_bytecode(folder)
