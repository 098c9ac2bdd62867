"""A TCP segment, as reassembly needs it."""

from netwatch.dissect.candidate import Candidate
from netwatch.dissect.reassembly.stream_parsers import Side


class Segment:
    """The payload of a TCP segment: `kind` is what it looks like (0: nothing known), `seq` its
    sequence number, `truncated` whether the snap length cut it."""

    __slots__ = ("candidate", "kind", "payload", "seq", "side", "truncated")

    def __init__(
        self,
        candidate: Candidate,
        payload: bytes,
        *,
        kind: int,
        side: Side,
        seq: int,
        truncated: bool,
    ) -> None:
        self.candidate = candidate
        self.payload = payload
        self.kind = kind
        self.side = side
        self.seq = seq
        self.truncated = truncated

    def on(self, side: Side) -> "Segment":
        """The same segment on another side."""
        return Segment(
            self.candidate,
            self.payload,
            kind=self.kind,
            side=side,
            seq=self.seq,
            truncated=self.truncated,
        )
