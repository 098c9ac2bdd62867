"""Which messages are handed to the consumer, and what the others are counted as."""

from collections import Counter

from netwatch.core.message import Message
from netwatch.dissect.consumer import Consumer
from netwatch.dissect.flows.records import FlowRecords
from netwatch.dissect.loop import layout
from netwatch.dissect.loop.loop import Loop


class MessageFilter:
    """Asks `consumer` which messages it wants, and counts what all of them show.

    Where `flow_records` is given, each message updates the name status of its flow. `prefiltered`
    is set while a candidate is read whose hello the packet loop has judged already. The filter of
    flows that another worker counts (`counting` is false) has counts of its own.
    """

    def __init__(
        self,
        consumer: Consumer,
        loop: Loop,
        flow_records: FlowRecords | None,
        *,
        counting: bool = True,
    ) -> None:
        self._wanted = consumer.wanted
        self._name_status = consumer.name_status
        self.counting = counting
        prefilter = loop.prefilter
        self._hellos = prefilter.messages if counting else prefilter.uncounted_messages()
        self._flow_records = flow_records
        self._flows = loop.flows
        self.prefiltered = False
        self.anomalies: Counter[str] = Counter()
        self.names_by_evidence: Counter[str] = Counter()

    def accepts(self, message: Message, flow: int, *, is_stray: bool = False) -> bool:
        """Count what a message of a flow shows; whether it is to be handed over. One that
        `is_stray` reaches no server, so that it tells nothing of its flow."""
        if message.anomalies:
            self.anomalies.update(message.anomalies)
        for shown in message.names:
            self.names_by_evidence[shown.evidence] += 1
        if self._flow_records is not None and not is_stray:
            self._flow_records.set_name_status(flow, self._name_status(message))
        if message.claims:
            return True
        return bool(message.names) and self._wanted(message)

    def is_uninteresting(self, kind: int, flow: int, message: bytes) -> bool:
        """Whether the bytes of a complete message show only names outside of the domains of
        interest. The packet loop then counts the names, and no parser has to read them. It did not
        pass on a hello that it judged to be uninteresting, so no hello is judged twice."""
        if self.prefiltered or not self._hellos.uninteresting(kind, message):
            return False
        if self._flow_records is not None:
            self._flow_records.set_name_status(flow, layout.NAME_NAMED)
        return True

    def unread(self, flow: int) -> None:
        """Note that what came at the place of a message of a flow could not be read: the name in
        that message may be another one than that of the flow."""
        if self._flow_records is not None:
            self._flow_records.forget_name(flow)

    def contest(self, flow: int, side: int) -> None:
        """Note that nobody can tell what the receiver of a side has taken."""
        self._flows.contest_flow(flow, side)

    def truncated(self, flow: int) -> None:
        """Note that a message of a flow was not captured to its end. The name status that the
        message itself gives, if any, takes precedence."""
        if self._flow_records is not None:
            self._flow_records.set_name_status(flow, layout.NAME_TRUNCATED)
