import contextlib
import email
import email.policy
import json
from dataclasses import replace

import pytest
from aiosmtpd.smtp import AuthResult
from support.made_alerts import HOSTILE, as_decoded, output, record, records
from support.made_records import ALERT, BLOCKED
from support.ports import free_port
from support.receivers import Smtp
from support.waiting import wait_until

from netwatch.cli import main
from netwatch.delivery import dead_letters
from netwatch.delivery.worker import DeliveryWorker
from netwatch.formats import jsonl
from netwatch.sinks.templates import digest_line


class Mailbox:
    """What a mail server has accepted. `replies` are answered instead, first in, first out."""

    def __init__(self):
        self.messages, self.replies, self.envelopes, self.asked = [], [], [], []
        self.recipient_replies = {}
        self.refuse = lambda message: False

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802
        """Answers with the reply for the recipient: a text, or a list of texts in turn."""
        self.asked.append(address)
        reply = self.recipient_replies.get(address, "250 ok")
        if isinstance(reply, list):
            reply = reply.pop(0) if reply else "250 ok"
        if reply.startswith("250"):
            envelope.rcpt_tos.append(address)
        return reply

    async def handle_DATA(self, server, session, envelope):  # noqa: N802 - the library's name
        if self.replies:
            return self.replies.pop(0)
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        if self.refuse(message):
            return "554 spam"
        self.envelopes.append((envelope.mail_from, envelope.rcpt_tos))
        self.messages.append(message)
        return "250 taken"


@pytest.fixture
def mailbox():
    def make(port=0, **keys):
        box = Mailbox()
        box.port = port or free_port()
        controller = Smtp(box, hostname="127.0.0.1", port=box.port, **keys)
        controller.start()
        ends.callback(controller.stop)
        return box

    with contextlib.ExitStack() as ends:
        yield make


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


def test_digest_says_what_was_blocked(mailbox, deliver, tmp_path):
    box = mailbox()
    delivery = deliver(mail(tmp_path, box.port))
    blocked = {**jsonl.alert_record(BLOCKED), "id": "b1"}
    delivery.put(blocked, jsonl.alert_record(ALERT))
    assert not delivery.drain(30)
    (message,) = box.messages
    assert message["Subject"] == "netwatch: 2 violation (1 blocked)"
    lines = message.get_content().splitlines()
    (line,) = (line for line in lines if "alert b1" in line)
    assert "violation (medium, probable, lookup, blocked, closed): TikTok by lab-07" in line
    assert "; blocked (NXDOMAIN), the app is probably still installed; names:" in line
    assert "blocked" not in lines[1 - lines.index(line)]


def test_a_line_for_a_record_without_kind_and_outcome():
    stored = jsonl.alert_record(ALERT)
    stored = {key: value for key, value in stored.items() if key not in ("kind", "outcome")}
    assert "violation (high, confirmed, closed): TikTok" in digest_line(stored)


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


SOC, CISO = "soc@example.org", "ciso@example.org"


def received_by(box, recipient):
    """The lines of all digests that a recipient got."""
    return [
        line
        for message, (_, recipients) in zip(box.messages, box.envelopes, strict=True)
        if recipient in recipients
        for line in message.get_content().splitlines()
    ]


def lines_of(alerts):
    return sorted(map(digest_line, alerts))


def test_temporary_failure_for_one_recipient_is_retried_for_that_one(mailbox, deliver, tmp_path):
    box = mailbox()
    box.recipient_replies[CISO] = ["452 mailbox full", "451 later", "250 ok"]
    delivery = deliver(mail(tmp_path, box.port))
    delivery.put(*records(3))
    assert not delivery.drain(30)
    assert [recipients for _, recipients in box.envelopes] == [[SOC], [CISO]]
    assert lines_of(records(3)) == sorted(received_by(box, CISO)) == sorted(received_by(box, SOC))
    assert len({message["Message-ID"] for message in box.messages}) == 1
    assert box.messages[1]["To"] == f"{SOC}, {CISO}"
    wait_until(lambda: delivery.status()[0].state == "idle")
    status = delivery.status()[0]
    assert (status.sent, status.dead, status.dropped, status.queued) == (3, 0, 0, 0)
    assert status.retried == 2
    assert any(f"{CISO}: 452 mailbox full" in line for line in deliver.log)


def test_later_alerts_do_not_wait_for_one_recipient(mailbox, deliver, tmp_path):
    box = mailbox()
    box.recipient_replies[CISO] = "452 mailbox full"
    delivery = deliver(mail(tmp_path, box.port, every="1s"))
    for number in range(3):
        delivery.put(record(number))
        wait_until(lambda number=number: len(received_by(box, SOC)) == number + 1)
    # The server has the last mail before the sender has read the reply and counted it.
    wait_until(lambda: (delivery.status()[0].queued, delivery.status()[0].sent) == (3, 3))
    assert received_by(box, CISO) == []
    status = delivery.status()[0]
    assert status.state == "retrying"
    # When the recipient was tried again alone, the reason names the server too.
    assert status.reason.endswith(f"{CISO}: 452 mailbox full")
    box.recipient_replies[CISO] = "250 ok"
    assert not delivery.drain(30)
    assert sorted(received_by(box, CISO)) == lines_of(records(3))
    assert sorted(received_by(box, SOC)) == lines_of(records(3))
    wait_until(lambda: any("delivers again" in line for line in deliver.log))


def test_more_alerts_than_a_batch_do_not_block_the_other_recipient(mailbox, deliver, tmp_path):
    box = mailbox()
    box.recipient_replies[CISO] = "450 busy"
    delivery = deliver(mail(tmp_path, box.port, every="1s"))
    delivery.put(*records(1200))
    wait_until(lambda: len(received_by(box, SOC)) == 1200)
    delivery.put(record(1200))
    wait_until(lambda: len(received_by(box, SOC)) == 1201)
    box.recipient_replies[CISO] = "250 ok"
    assert not delivery.drain(30)
    assert sorted(received_by(box, CISO)) == lines_of(records(1201))
    assert len(received_by(box, SOC)) == 1201


def test_recipient_still_waits_after_a_restart(mailbox, deliver, tmp_path):
    box = mailbox()
    box.recipient_replies[CISO] = "452 mailbox full"
    first = deliver(mail(tmp_path, box.port))
    first.put(*records(5))
    wait_until(lambda: first.drain(0.05) and box.messages and first.status()[0].retried >= 2)
    first.stop()
    box.recipient_replies.clear()
    again = deliver(mail(tmp_path, box.port))
    assert not again.drain(30)
    assert [recipients for _, recipients in box.envelopes] == [[SOC], [CISO]]
    assert sorted(received_by(box, CISO)) == lines_of(records(5))


def test_refused_recipient_is_reported_and_the_others_get_the_mail(mailbox, deliver, tmp_path):
    box = mailbox()
    box.recipient_replies[CISO] = "550 no such user"
    delivery = deliver(mail(tmp_path, box.port))
    delivery.put(*records(2))
    assert not delivery.drain(30)
    assert [recipients for _, recipients in box.envelopes] == [[SOC]]
    status = delivery.status()[0]
    assert (status.sent, status.dead, status.state) == (2, 2, "idle")
    path = dead_letters.path_of(deliver.outbox.folder, "email")
    letters = [json.loads(line) for line in path.read_text().splitlines()]
    assert {letter["reason"] for letter in letters} == {f"{CISO}: 550 no such user"}
    assert [letter["recipients"] for letter in letters] == [[CISO]] * 2
    assert [letter["alert"] for letter in letters] == [as_decoded(each) for each in records(2)]
    assert any(f"{CISO}: 550 no such user" in line for line in deliver.log)


def test_replayed_dead_letter_goes_to_the_recipient_that_did_not_get_it(
    mailbox, deliver, tmp_path, capsys
):
    box = mailbox()
    box.recipient_replies[CISO] = "550 no such user"
    delivery = deliver(mail(tmp_path, box.port))
    delivery.put(*records(2))
    assert not delivery.drain(30)
    box.recipient_replies.clear()
    keys = json.dumps({"type": "email", "host": "a", "from": SOC, "to": [SOC, CISO]})
    config = tmp_path / "netwatch.yaml"
    config.write_text(f"version: 1\nspool: {{path: spool}}\noutputs: [{keys}]\n")
    assert main(["outputs", "replay", "-c", str(config)]) == 0
    assert "2 alerts put into the outbox again" in capsys.readouterr().err
    wait_until(lambda: len(box.messages) == 2)
    assert [recipients for _, recipients in box.envelopes] == [[SOC], [CISO]]


def test_each_recipient_has_an_outcome_of_its_own(mailbox, deliver, tmp_path):
    box = mailbox()
    box.recipient_replies = {SOC: ["450 busy"], CISO: "550 no such user"}
    delivery = deliver(mail(tmp_path, box.port, to=[SOC, CISO]))
    delivery.put(record(1))
    assert not delivery.drain(30)
    assert [recipients for _, recipients in box.envelopes] == [[SOC]]
    status = delivery.status()[0]
    assert (status.sent, status.dead, status.retried) == (1, 1, 1)
    assert box.asked.count(CISO) == 1


@pytest.mark.parametrize(
    ("replies", "dead"), [(["552 too many recipients"], 0), (["421 closing"], 0), ("550 no", 1)]
)
def test_outcome_if_nobody_is_accepted(replies, dead, mailbox, deliver, tmp_path):
    box = mailbox()
    others = replies if isinstance(replies, str) else list(replies)
    box.recipient_replies = {SOC: replies, CISO: others}
    delivery = deliver(mail(tmp_path, box.port))
    delivery.put(record(1))
    assert not delivery.drain(30)
    assert delivery.status()[0].dead == dead
    for recipient in (SOC, CISO):
        assert len(received_by(box, recipient)) == 1 - dead


def test_server_that_takes_few_recipients_gets_the_others_later(mailbox, deliver, tmp_path):
    everybody = [f"person-{number}@example.org" for number in range(10)]
    box = mailbox()

    async def three(server, session, envelope, address, options):
        if len(envelope.rcpt_tos) == 3:
            return "452 too many recipients"
        envelope.rcpt_tos.append(address)
        return "250 ok"

    box.handle_RCPT = three
    delivery = deliver(mail(tmp_path, box.port, to=everybody))
    delivery.put(record(1))
    assert not delivery.drain(30)
    assert [len(recipients) for _, recipients in box.envelopes] == [3, 3, 3, 1]
    assert sorted(each for _, recipients in box.envelopes for each in recipients) == everybody


def test_recipient_that_is_removed_from_the_configuration_is_given_up(mailbox, deliver, tmp_path):
    box = mailbox()
    box.recipient_replies[CISO] = "452 mailbox full"
    first = deliver(mail(tmp_path, box.port))
    first.put(record(1))
    wait_until(lambda: first.drain(0.05) and box.messages)
    first.stop()
    delivery = deliver(mail(tmp_path, box.port, to=[SOC]))
    assert not delivery.drain(30)
    path = dead_letters.path_of(deliver.outbox.folder, "email")
    assert json.loads(path.read_text())["recipients"] == [CISO]
    assert "is no longer configured" in path.read_text()


def test_message_that_is_refused_for_one_recipient_is_split(mailbox, deliver, tmp_path):
    box = mailbox()
    box.recipient_replies[CISO] = ["452 mailbox full"]
    poison = record(2)["id"]

    def refuse(message):
        return len(box.messages) and poison in message.get_content()

    box.refuse = refuse
    delivery = deliver(mail(tmp_path, box.port))
    delivery.put(*records(4))
    assert not delivery.drain(30)
    assert delivery.status()[0].dead == 1
    assert len(received_by(box, SOC)) == 4
    expected = lines_of(each for each in records(4) if each["id"] != poison)
    assert sorted(received_by(box, CISO)) == expected


def test_alert_for_one_recipient_expires_and_is_counted(mailbox, deliver, tmp_path):
    box = mailbox()
    box.recipient_replies[CISO] = "452 mailbox full"
    outbox = replace(deliver.outbox, max_age=1.0)
    delivery = deliver(mail(tmp_path, box.port), outbox=outbox)
    delivery.put(*records(3))
    delivery.drain(0.2)
    wait_until(lambda: delivery.status()[0].dropped == 3)
    assert not delivery.drain(30)
    assert len(received_by(box, SOC)) == 3
    wait_until(lambda: delivery.status()[0].state == "idle")
