"""The findings of a worker until they are sent."""

from netwatch.core.contradiction import Sender
from netwatch.core.verdict import Contact
from netwatch.incidents.contacts import strip_frames, without_details
from netwatch.incidents.progress import ContactProgress
from netwatch.live.messages import FollowUp

SENDER_LIMIT = 4096
"""Pairs of a MAC and a client that were sent and are not sent again, until there are more."""


class FindingsBuffer:
    """The findings of a block. It stands in for `netwatch.incidents.aggregate.Incidents` as the
    receiver of the engine's contacts."""

    def __init__(self) -> None:
        self.items: list[Contact | FollowUp] = []
        self._senders: set[Sender] = set()

    def add(self, contact: Contact) -> None:
        """Take a contact, or several that are alike."""
        self.items.append(without_details(contact))

    def add_sender(self, contact: Contact) -> None:
        """Take a contact to which no ban applies, if it says something new of whose packets a MAC
        sends."""
        if contact.sender is not None and contact.sender not in self._senders:
            if len(self._senders) >= SENDER_LIMIT:
                self._senders.clear()
            self._senders.add(contact.sender)
            self.items.append(strip_frames(without_details(contact)))

    def add_progress(
        self, contact: Contact, progress: ContactProgress, bans: frozenset[str] | None = None
    ) -> None:
        """Take what became of contacts."""
        self.items.append(FollowUp(strip_frames(without_details(contact)), progress, bans))

    def take(self) -> tuple[Contact | FollowUp, ...]:
        """The findings since the last call."""
        items = tuple(self.items)
        self.items.clear()
        return items
