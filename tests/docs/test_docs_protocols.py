"""The documented link types and encapsulations are those of the packet loop."""

import ast

from docs_generator.protocols import ENCAPSULATIONS, LINK_TYPES
from support.paths import ROOT


def compared(file: str, function: str, *names: str) -> set[int]:
    """The numbers that a function compares variables or attributes of these names with."""
    tree = ast.parse((ROOT / "netwatch" / "dissect" / "loop" / file).read_text(encoding="utf-8"))
    (body,) = (
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name == function
    )
    return {
        node.comparators[0].value
        for node in ast.walk(body)
        if isinstance(node, ast.Compare)
        and ast.unparse(node.left).removeprefix("self.") in names
        and isinstance(node.ops[0], ast.Eq)
        and isinstance(node.comparators[0], ast.Constant)
    }


def test_link_types_are_those_of_the_code() -> None:
    documented = [number for _, numbers, _ in LINK_TYPES for number in numbers]
    there = compared("headers.py", "link", "link_type")
    there |= compared("links.py", "other_link", "link_type")
    assert sorted(documented) == sorted(there)


def test_encapsulations_are_those_of_the_code() -> None:
    documented: dict[str, set[int]] = {}
    for _, ways, _, _ in ENCAPSULATIONS:
        for field, numbers in ways:
            documented.setdefault(field, set()).update(numbers)
    types = compared("headers.py", "ether_type", "kind")
    udp, tcp, esp = 17, 6, 50
    assert documented == {
        "EtherType": types | compared("tunnels.py", "other_type", "kind"),
        "IP protocol": compared("tunnels.py", "inner", "proto") - {udp, tcp, esp},
        "UDP port": compared("udp_tunnels.py", "wrapped", "src", "dst"),
        "GRE": compared("tunnels.py", "gre", "kind"),
        "PPP": compared("tunnels.py", "ppp", "kind"),
    }
