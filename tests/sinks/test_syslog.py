import contextlib
import json
import re
import socket
import ssl
import struct
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.made_alerts import HOSTILE, as_read, output, record, records
from support.receivers import free_port, until

from netwatch.formats.registry import RENDERERS
from netwatch.formats.shorten_lists import render_within as shorten
from netwatch.sinks.base import Item
from netwatch.sinks.fit import MARK, fit
from netwatch.sinks.syslog import framed
from netwatch.sinks.syslog_message import header

# RFC 5424 section 6: PRI VERSION TIMESTAMP HOSTNAME APP-NAME PROCID MSGID SD
HEADER = re.compile(
    rb"<(\d{1,3})>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?Z|-) ([!-~]{1,255})"
    rb" netwatch - alert - "
)


class Server:
    """Takes connections in turn; `behave` is given each, and the bytes up to its end."""

    def __init__(self, behave=None, context=None, port=0):
        self.got, self.errors = [], []
        self._behave = behave or (lambda connection, data: None)
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        while True:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            try:
                with (
                    plain
                    if self._context is None
                    else self._context.wrap_socket(plain, server_side=True) as connection
                ):
                    data = b""
                    while part := connection.recv(65536):
                        data += part
                    if self._behave(connection, data) is None:
                        self.got.append(data)
            except OSError as error:
                self.errors.append(error)
            finally:
                plain.close()

    def end(self):
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(30)


@pytest.fixture
def server():
    made = []

    def make(*args, **keys):
        made.append(Server(*args, **keys))
        return made[-1]

    yield make
    for each in made:
        each.end()


def syslog(tmp_path, port, transport="tcp", **keys):
    own = {"type": "syslog", "host": f"127.0.0.1:{port}", "transport": transport, "timeout": "1s"}
    return output(tmp_path, **{**own, "max_bytes": "48k", **keys})


def counted(data):
    """The messages of a stream with octet counting."""
    messages = []
    while data:
        length, _, data = data.partition(b" ")
        messages.append(data[: int(length)])
        data = data[int(length) :]
    return messages


def body(message):
    head = HEADER.match(message)
    assert head, message[:200]
    return message[head.end() :]


@pytest.mark.parametrize("framing", ["octet-counting", "lf"])
def test_messages_are_framed_as_rfc_6587_has_it(framing, server, deliver, tmp_path):
    there = server()
    delivery = deliver(syslog(tmp_path, there.port, framing=framing))
    delivery.put(*records(len(HOSTILE)))
    assert not delivery.drain(30)
    data = b"".join(there.got)
    messages = counted(data) if framing != "lf" else data.removesuffix(b"\n").split(b"\n")
    alerts = [json.loads(body(message)) for message in messages]
    assert alerts == [as_read(each) for each in records(len(HOSTILE))]


def test_a_line_in_a_stream_of_lines_stays_one():
    assert framed(b"a\nb", "lf") == b"a b\n"
    assert framed(b"a\nb", "octet-counting") == b"3 a\nb"


@pytest.mark.parametrize(
    ("severity", "priority"), [("critical", 130), ("high", 131), ("medium", 132), ("low", 133)]
)
def test_the_header_is_that_of_rfc_5424(severity, priority):
    alert = record(1, severity=severity, last_seen="2023-03-20T09:00:00.123456789Z")
    head = HEADER.fullmatch(header(alert, 16, "sensor ü\n1"))
    assert head.groups() == (str(priority).encode(), b"2023-03-20T09:00:00.123456Z", b"sensor1")


@given(
    st.dictionaries(st.sampled_from(["severity", "last_seen"]), st.text() | st.none()), st.text()
)
def test_any_record_and_host_give_a_header(alert, host):
    assert HEADER.fullmatch(header(alert, 23, host))


def unread(connection, data):
    """Close without having read all: what a daemon that is ended does."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return True


def test_what_was_not_read_to_its_end_is_sent_again(server, deliver, tmp_path):
    ways = [unread, unread]
    there = server(lambda *args: ways.pop()(*args) if ways else None)
    delivery = deliver(syslog(tmp_path, there.port))
    delivery.put(*records(50))
    assert not delivery.drain(30)
    assert delivery.status()[0].retried == 2
    assert len(counted(b"".join(there.got))) == 50


def test_an_end_that_came_before_ours_is_none(deliver, tmp_path):
    """A receiver that closes at once, in good order: nothing that we write then is read."""
    listener = socket.create_server(("127.0.0.1", 0))
    got = []

    def serve():
        for _ in range(2):
            connection, _ = listener.accept()
            connection.close()
        connection, _ = listener.accept()
        with connection:
            while part := connection.recv(65536):
                got.append(part)

    thread = threading.Thread(target=serve)
    thread.start()
    delivery = deliver(syslog(tmp_path, listener.getsockname()[1]))
    delivery.put(*records(50))
    assert not delivery.drain(30)
    thread.join(30)
    listener.close()
    assert len(counted(b"".join(got))) == 50
    assert delivery.status()[0].retried >= 2


def test_a_receiver_that_never_closes_is_told_what_to_do_or_is_not_waited_for(
    server, deliver, tmp_path
):
    held = threading.Event()
    there = server(lambda *_: held.wait(30) and None)
    delivery = deliver(syslog(tmp_path, there.port, confirm=False))
    delivery.put(record(1))
    assert not delivery.drain(30)
    delivery.stop()
    waiting = deliver(syslog(tmp_path, there.port, name="waiting"))
    waiting.put(record(2))
    until(lambda: waiting.status()[0].retried)
    assert "did not close within 1 s after it had all, see 'confirm'" in waiting.status()[0].reason
    held.set()
    assert not waiting.drain(30)


def test_the_last_batch_is_sent_again_where_the_receiver_is_gone_right_after(
    server, deliver, tmp_path
):
    there = server()
    delivery = deliver(syslog(tmp_path, there.port))
    delivery.put(record(1))
    assert not delivery.drain(30)
    there.end()
    delivery.put(record(2))
    until(lambda: delivery.status()[0].retried)
    again = server(port=there.port)
    assert not delivery.drain(30)
    ids = [json.loads(body(each))["id"] for each in counted(b"".join(again.got))]
    assert ids == [record(1)["id"], record(2)["id"]]


@pytest.mark.parametrize(
    ("names", "days", "why"),
    [
        (("127.0.0.1",), -1, "certificate has expired"),
        (("other.example",), 30, "certificate is not valid for '127.0.0.1'"),
    ],
)
def test_a_wrong_certificate_is_told_and_no_alert_is_sent(
    names, days, why, certificates, server, deliver, tmp_path
):
    there = server(context=certificates.server(*names, days=days))
    delivery = deliver(syslog(tmp_path, there.port, "tls", tls={"ca": str(certificates.ca)}))
    delivery.put(*records(20))
    until(lambda: delivery.status()[0].retried >= 2)
    assert why in delivery.status()[0].reason
    there._context = certificates.server("127.0.0.1")
    assert not delivery.drain(30)
    assert len(counted(b"".join(there.got))) == 20


def test_a_client_without_certificate_is_told(certificates, server, deliver, tmp_path):
    context = certificates.server("siem.example", client=True)
    there = server(context=context)
    tls = {"ca": str(certificates.ca), "server_name": "siem.example"}
    delivery = deliver(syslog(tmp_path, there.port, "tls", tls=tls))
    delivery.put(record(1))
    until(lambda: delivery.status()[0].retried >= 2)
    delivery.stop()
    cert, key = certificates.issue("netwatch.example")
    tls |= {"cert": str(cert), "key": str(key)}
    assert not deliver(syslog(tmp_path, there.port, "tls", tls=tls)).drain(30)
    assert len(counted(b"".join(there.got))) == 1


def test_old_versions_of_tls_are_refused(certificates, server, deliver, tmp_path):
    context = certificates.server("127.0.0.1")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    there = server(context=context)
    delivery = deliver(syslog(tmp_path, there.port, "tls", tls={"ca": str(certificates.ca)}))
    delivery.put(record(1))
    until(lambda: delivery.status()[0].retried >= 1)
    assert there.got == []


def test_over_udp_a_closed_port_is_noticed_and_a_message_is_a_datagram(deliver, tmp_path):
    port = free_port(socket.SOCK_DGRAM)
    delivery = deliver(syslog(tmp_path, port, "udp"))
    delivery.put(*records(3))
    until(lambda: delivery.status()[0].retried >= 2)
    assert "refused" in delivery.status()[0].reason
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", port))
        receiver.settimeout(30)
        got = {json.loads(body(receiver.recv(65536)))["id"] for _ in range(3)}
        assert got == {each["id"] for each in records(3)}
        assert not delivery.drain(30)


# messages of a bounded size


def large(number):
    made = record(number)
    made["names"] = [f"{at}.{'x' * 60}.example" for at in range(200)]
    made["evidence"] = [{**made["evidence"][0], "name": name} for name in made["names"]]
    made["destinations"] *= 200
    made["device"]["owner"] = "\u202e" * 2000
    return made


def item(made, form):
    render = RENDERERS[form]
    return Item(1, "k", made, render(made), lambda rec, limit: shorten(render, rec, limit))


@pytest.mark.parametrize("limit", [480, 1024, 2048, 8192, 65536])
@pytest.mark.parametrize("form", RENDERERS)
def test_a_long_alert_fits_and_is_cut_at_a_letter(form, limit):
    data, short = fit(item(large(2), form), limit)
    assert len(data) <= limit
    text = data.decode()
    assert short is (len(RENDERERS[form](large(2)).encode()) > limit)
    assert "\n" not in text
    if limit >= 8192 and form in ("jsonl", "ecs", "ocsf", "eve", "gelf"):
        json.loads(text)
    else:
        assert large(2)["id"] in text or text.endswith(MARK)


def test_what_fits_is_not_touched():
    one = item(record(3), "cef")
    assert fit(one, 8192) == (one.text.encode(), False)


@given(st.sampled_from(HOSTILE), st.integers(16, 3000))
def test_any_limit_is_kept(text, limit):
    made = record(1, names=[text * 5] * 5)
    data, _ = fit(item(made, "jsonl"), limit)
    assert len(data) <= limit
    data.decode()
