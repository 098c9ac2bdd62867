"""Datagrams of sFlow version 5, written by the layout of their specification, for tests."""

import struct

AGENT = bytes([192, 0, 2, 9])


def raw(head, protocol=1, length=1500):
    """The record of the first bytes of a packet."""
    padded = head + bytes(-len(head) % 4)
    body = struct.pack(">4I", protocol, length, 4, len(head)) + padded
    return struct.pack(">II", 1, len(body)) + body


def sample(*records, kind=1, rate=512, drops=0):
    """A sample of flows, of kind 1 or expanded (3)."""
    if kind == 1:
        head = struct.pack(">8I", 1, 3, rate, 100, drops, 1, 2, len(records))
    else:
        head = struct.pack(">11I", 1, 0, 3, rate, 100, drops, 0, 1, 0, 2, len(records))
    body = head + b"".join(records)
    return struct.pack(">II", kind, len(body)) + body


def datagram(*samples, agent=AGENT, version=5, sequence=42):
    """A datagram of samples."""
    kind = 1 if len(agent) == 4 else 2
    head = struct.pack(">II", version, kind) + agent
    return head + struct.pack(">4I", 7, sequence, 1000, len(samples)) + b"".join(samples)
