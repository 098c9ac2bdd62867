"""Network namespaces in tests, and the packets that were captured in them."""

import contextlib
from collections.abc import Iterable, Iterator

import pytest
from support.network_namespace import Namespace, NamespaceError, created, missing_requirements

__all__ = [
    "Namespace",
    "frames_of",
    "missing_requirements",
    "namespace",
    "needs_namespaces",
]

needs_namespaces = pytest.mark.skipif(
    bool(missing_requirements()), reason=missing_requirements() or "namespaces can be created"
)
"""Skips a test where namespaces cannot be created."""


@contextlib.contextmanager
def namespace() -> Iterator[Namespace]:
    """A new namespace, removed afterwards. Skips the test where it cannot be created."""
    with contextlib.ExitStack() as stack:
        try:
            made = stack.enter_context(created())
        except NamespaceError as error:
            pytest.skip(f"no namespaces here: {error}")
        yield made


def frames_of(blocks: Iterable[object]) -> list[bytes]:
    """The packets of blocks, with the VLAN tags that the NIC has stripped."""
    found = []
    for block in blocks:
        for at in range(0, block.count * 6, 6):
            _, offset, captured, _, _, tag = block.records[at : at + 6]
            packet = bytes(block.data[offset : offset + captured])
            if tag >= 0:
                packet = packet[:12] + tag.to_bytes(4, "big") + packet[12:]
            found.append(packet)
    return found
