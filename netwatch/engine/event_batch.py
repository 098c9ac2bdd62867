"""Observations as rows of an observation batch, from which formats, the store and judging read
them."""

from netwatch.core.message import Message, ShownName
from netwatch.core.observation import Observation
from netwatch.core.observation_batch import ObservationBatch
from netwatch.core.packet import Packet


class EventBatch:
    """A batch, and the numbers of the sources of its rows."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._names: list[str] = []
        self.batch = ObservationBatch(self._names)

    def append(self, shown: Observation) -> tuple[int, int]:
        """Append a row: its place, and the one behind it. Whichever side sent its message, it is as
        if the client had: all that a row says is which side the client is."""
        number = self._numbers.get(shown.source)
        if number is None:
            number = self._numbers[shown.source] = len(self._names)
            self._names.append(shown.source)
        packet = Packet(
            shown.source,
            shown.packet,
            shown.time,
            shown.time_digits,
            shown.transport,
            shown.client_ip,
            shown.client_port,
            shown.server_ip,
            shown.server_port,
            shown.client_mac,
            None,
            shown.vlan,
            shown.flow_id,
            shown.frames,
            mark=shown.mark,
        )
        names = (ShownName(shown.evidence, shown.name, False, shown.raw, shown.asked),)
        message = Message(names, 0, dns=shown.dns, tls=shown.tls, quic=shown.quic)
        return self.batch.append(packet, message, number, True, shown.log, shown.client_host)
