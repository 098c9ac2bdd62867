import email
import email.policy

import pytest
from aiosmtpd.smtp import AuthResult
from support.made_alerts import HOSTILE, output, record, records
from support.ports import free_port
from support.receivers import Smtp
from support.waiting import wait_until

from netwatch.delivery import dead_letters
from netwatch.delivery.worker import DeliveryWorker
from netwatch.sinks.mail import digest_line


class Mailbox:
    """What a mail server has accepted. `replies` are answered instead, first in, first out."""

    def __init__(self):
        self.messages, self.replies, self.envelopes = [], [], []

    async def handle_DATA(self, server, session, envelope):  # noqa: N802 - the library's name
        if self.replies:
            return self.replies.pop(0)
        self.envelopes.append((envelope.mail_from, envelope.rcpt_tos))
        self.messages.append(
            email.message_from_bytes(envelope.content, policy=email.policy.default)
        )
        return "250 taken"


@pytest.fixture
def mailbox():
    made = []

    def make(port=0, **keys):
        box = Mailbox()
        box.port = port or free_port()
        controller = Smtp(box, hostname="127.0.0.1", port=box.port, **keys)
        controller.start()
        made.append(controller)
        return box

    yield make
    for controller in made:
        controller.stop()


def mail(tmp_path, port, **keys):
    own = {"type": "email", "host": f"127.0.0.1:{port}", "security": "none", "timeout": "2s"}
    return output(
        tmp_path,
        **{
            **own,
            "from": "netwatch@example.org",
            "to": ["soc@example.org", "ciso@example.org"],
            **keys,
        },
    )


def test_digest_has_a_line_for_each_alert_most_serious_first(mailbox, deliver, tmp_path):
    box = mailbox()
    delivery = deliver(mail(tmp_path, box.port))
    delivery.put(*records(len(HOSTILE)))
    assert not delivery.drain(30)
    (message,) = box.messages
    assert box.envelopes == [("netwatch@example.org", ["soc@example.org", "ciso@example.org"])]
    assert message["Subject"] == "netwatch: 6 violation, 5 advisory, 5 exempt"
    lines = message.get_content().splitlines()
    assert len(lines) == len(HOSTILE)
    assert {digest_line(each) for each in records(len(HOSTILE))} == set(lines)
    verdicts = [text.split()[1] for text in lines]
    assert verdicts == ["violation"] * 6 + ["advisory"] * 5 + ["exempt"] * 5


@pytest.mark.parametrize("text", HOSTILE)
def test_a_line_of_a_digest_cannot_be_broken(text):
    text = digest_line(record(HOSTILE.index(text)))
    assert text.isprintable()
    assert len(text.splitlines()) == 1


def test_alerts_are_collected_for_the_digest_interval(mailbox, deliver, tmp_path, monkeypatch):
    box = mailbox()
    batches = []
    deliver_next = DeliveryWorker._deliver_next

    def recording(worker, outbox, sink):
        delay = deliver_next(worker, outbox, sink)
        batches.append(outbox.next_batch(worker.output.name, 1))
        return delay

    monkeypatch.setattr(DeliveryWorker, "_deliver_next", recording)
    delivery = deliver(mail(tmp_path, box.port, every="1h"))
    delivery.put(record(1))
    wait_until(lambda: len(list(filter(None, batches))) >= 3, "the worker has left it queued")
    assert box.messages == []
    delivery.put(record(2))
    assert not delivery.drain(30)
    assert len(box.messages) == 1


def test_digest_interval_starts_with_the_oldest_alert(mailbox, deliver, tmp_path):
    box = mailbox()
    delivery = deliver(mail(tmp_path, box.port, every="1s"))
    delivery.put(record(1))
    wait_until(lambda: box.messages)


def test_temporary_failure_is_retried_with_the_same_message_id(mailbox, deliver, tmp_path):
    box = mailbox()
    box.replies = ["451 later", "421 busy"]
    delivery = deliver(mail(tmp_path, box.port))
    delivery.put(record(1))
    assert not delivery.drain(30)
    assert delivery.status()[0].retried == 2
    delivery.stop()
    again = deliver(mail(tmp_path, box.port, name="two"))
    again.put(record(1))
    assert not again.drain(30)
    one, two = box.messages
    assert one["Message-ID"] == two["Message-ID"]


def test_permanently_refused_mail_becomes_a_dead_letter(mailbox, deliver, tmp_path):
    box = mailbox()
    box.replies = ["554 spam"]
    delivery = deliver(mail(tmp_path, box.port))
    delivery.put(record(1))
    assert not delivery.drain(30)
    assert dead_letters.count(deliver.outbox.folder, "email") == 1
    assert (delivery.status()[0].sent, delivery.status()[0].dead) == (0, 1)


def test_unreachable_server_is_retried(mailbox, deliver, tmp_path):
    port = free_port()
    delivery = deliver(mail(tmp_path, port))
    delivery.put(record(1))
    delivery.drain(0.3)
    wait_until(lambda: delivery.drain(0.05) and delivery.status()[0].retried)
    box = mailbox(port)
    assert not delivery.drain(30)
    assert len(box.messages) == 1


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_authentication_requires_tls(
    security, certificates, mailbox, deliver, tmp_path, monkeypatch
):
    monkeypatch.setenv("NW_MAIL", "sesame")
    asked = []

    def authenticate(server, session, envelope, mechanism, data):
        asked.append((data.login, data.password, session.ssl is not None or security == "tls"))
        return AuthResult(success=data.password == b"sesame", handled=False)

    context = certificates.server("127.0.0.1")
    keys = {"ssl_context": context} if security == "tls" else {"tls_context": context}
    needs_tls = security == "starttls"
    box = mailbox(
        authenticator=authenticate, auth_require_tls=needs_tls, auth_required=True, **keys
    )
    sign_in = {"user": "netwatch", "password": {"env": "NW_MAIL"}}
    tls = {"tls": {"ca": str(certificates.ca)}}
    delivery = deliver(mail(tmp_path, box.port, **{"security": security, **sign_in, **tls}))
    delivery.put(record(1))
    assert not delivery.drain(30)
    assert asked == [(b"netwatch", b"sesame", True)]
    monkeypatch.setenv("NW_MAIL", "wrong")
    delivery.put(record(2))
    wait_until(lambda: delivery.drain(0.05) and delivery.status()[0].state == "paused")
    assert "535" in delivery.status()[0].reason
    assert not any("wrong" in line for line in deliver.log)


def test_invalid_certificate_is_reported(certificates, mailbox, deliver, tmp_path):
    box = mailbox(tls_context=certificates.server("127.0.0.1", days=-1))
    keys = {"security": "starttls", "tls": {"ca": str(certificates.ca)}}
    delivery = deliver(mail(tmp_path, box.port, **keys))
    delivery.put(record(1))
    wait_until(lambda: delivery.drain(0.05) and delivery.status()[0].retried)
    assert "certificate has expired" in delivery.status()[0].reason
