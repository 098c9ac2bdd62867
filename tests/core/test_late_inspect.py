"""`inspect` is the real module for whoever uses it."""

import subprocess
import sys

import pytest

HEAD = """
import sys
from netwatch.core.dataclass import dataclass
import dataclasses, inspect
late = inspect
assert type(late).__name__ == "LateInspect" and "ast" not in sys.modules
"""
PROGRAMS = {
    "docstrings": """
@dataclasses.dataclass
class Undocumented:
    size: int = 7
assert Undocumented.__doc__ == "Undocumented(size: int = 7)", Undocumented.__doc__
""",
    "an attribute": "assert inspect.signature(len).parameters",
    "a name": "from inspect import getsource; assert 'LateInspect' in getsource(type(late))",
    "threads": """
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(8) as pool:
    assert {*pool.map(lambda _: late.isfunction, range(64))} == {late.isfunction}
""",
    "what has no code": "assert late.getfullargspec(len).args == ['obj']",
    "any arguments": "assert late.getfullargspec(lambda *given: given).varargs == 'given'",
}
TAIL = """
import inspect
assert inspect is not late and sys.modules["inspect"] is inspect
assert late.signature is inspect.signature
"""


@pytest.mark.parametrize("use", PROGRAMS)
def test_the_module_takes_its_place_when_it_is_used(use: str) -> None:
    program = HEAD + PROGRAMS[use] + TAIL
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_arguments_are_those_that_inspect_finds() -> None:
    program = """
for function in (dataclasses.field, dataclasses.dataclass, dataclasses._DataclassParams):
    ours = late.getfullargspec(function)
    theirs = late.signature and sys.modules["inspect"].getfullargspec(function)
    assert (ours.args, ours.kwonlyargs) == (theirs.args, theirs.kwonlyargs), function
"""
    subprocess.run([sys.executable, "-c", HEAD + program], check=True, timeout=60)


def test_an_imported_module_stays() -> None:
    program = "import inspect as before, netwatch.core.dataclass, inspect; assert inspect is before"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
