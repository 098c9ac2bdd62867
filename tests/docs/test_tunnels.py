"""The documented contents of PPP are those that the packet loop reads."""

import ast

from docs_generator.protocols import PPP
from support.paths import ROOT


def compared(function: str, name: str) -> set[int]:
    """The numbers that a function of the packet loop compares a variable with."""
    file = ROOT / "netwatch" / "dissect" / "loop" / "serial_links.py"
    (body,) = (
        node
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and node.name == function
    )
    return {
        node.comparators[0].value
        for node in ast.walk(body)
        if isinstance(node, ast.Compare)
        and ast.unparse(node.left) == name
        and isinstance(node.ops[0], ast.Eq)
        and isinstance(node.comparators[0], ast.Constant)
    }


def test_contents_of_ppp_are_those_of_the_code() -> None:
    encrypted, compressed, compressed_headers = 0x53, 0xFD, {0x2D, 0x2F}
    read = compared("ppp", "kind") - {encrypted, compressed} - compressed_headers
    assert {number for numbers, _ in PPP for number in numbers} == read
