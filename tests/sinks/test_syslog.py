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
from support.made_alerts import HOSTILE, as_decoded, output, record, records
from support.ports import free_port
from support.waiting import wait_until

from netwatch.formats.alert_summary import render_within
from netwatch.formats.registry import FORMATS, RENDERERS
from netwatch.sinks.base import OutgoingAlert
from netwatch.sinks.syslog import MARK, encode_within, frame, header

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
def test_messages_are_framed_by_rfc_6587(framing, server, deliver, tmp_path):
    there = server()
    delivery = deliver(syslog(tmp_path, there.port, framing=framing))
    delivery.put(*records(len(HOSTILE)))
    assert not delivery.drain(30)
    data = b"".join(there.got)
    messages = counted(data) if framing != "lf" else data.removesuffix(b"\n").split(b"\n")
    alerts = [json.loads(body(message)) for message in messages]
    assert alerts == [as_decoded(each) for each in records(len(HOSTILE))]


def test_line_breaks_are_removed_with_lf_framing():
    assert frame(b"a\nb", "lf") == b"a b\n"
    assert frame(b"a\nb", "octet-counting") == b"3 a\nb"


@pytest.mark.parametrize(
    ("severity", "priority"), [("critical", 130), ("high", 131), ("medium", 132), ("low", 133)]
)
def test_header_follows_rfc_5424(severity, priority):
    alert = record(1, severity=severity, last_seen="2023-03-20T09:00:00.123456789Z")
    head = HEADER.fullmatch(header(alert, 16, "sensor ü\n1"))
    assert head.groups() == (str(priority).encode(), b"2023-03-20T09:00:00.123456Z", b"sensor1")


@given(
    st.dictionaries(st.sampled_from(["severity", "last_seen"]), st.text() | st.none()), st.text()
)
def test_every_record_and_hostname_give_a_valid_header(alert, host):
    assert HEADER.fullmatch(header(alert, 23, host))


def unread(connection, data):
    """Close without having read all: what a daemon that is ended does."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return True


def test_batch_that_was_not_read_completely_is_sent_again(server, deliver, tmp_path):
    ways = [unread, unread]
    there = server(lambda *args: ways.pop()(*args) if ways else None)
    delivery = deliver(syslog(tmp_path, there.port))
    delivery.put(*records(50))
    assert not delivery.drain(30)
    assert delivery.status()[0].retried == 2
    assert len(counted(b"".join(there.got))) == 50


def test_connection_closed_before_ours_does_not_confirm(deliver, tmp_path):
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


def test_receiver_that_never_closes_is_reported_or_not_waited_for(server, deliver, tmp_path):
    held = threading.Event()
    there = server(lambda *_: held.wait(30) and None)
    delivery = deliver(syslog(tmp_path, there.port, confirm=False))
    delivery.put(record(1))
    assert not delivery.drain(30)
    delivery.stop()
    waiting = deliver(syslog(tmp_path, there.port, name="waiting"))
    waiting.put(record(2))
    wait_until(lambda: waiting.status()[0].retried)
    assert (
        "did not close the connection within 1 s, see the option 'confirm'"
        in waiting.status()[0].reason
    )
    held.set()
    assert not waiting.drain(30)


def test_last_batch_is_sent_again_if_the_receiver_disappears_right_after_it(
    server, deliver, tmp_path
):
    there = server()
    delivery = deliver(syslog(tmp_path, there.port))
    delivery.put(record(1))
    assert not delivery.drain(30)
    there.end()
    delivery.put(record(2))
    wait_until(lambda: delivery.status()[0].retried)
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
def test_invalid_certificate_is_reported_and_no_alert_is_sent(
    names, days, why, certificates, server, deliver, tmp_path
):
    there = server(context=certificates.server(*names, days=days))
    delivery = deliver(syslog(tmp_path, there.port, "tls", tls={"ca": str(certificates.ca)}))
    delivery.put(*records(20))
    wait_until(lambda: delivery.status()[0].retried >= 2)
    assert why in delivery.status()[0].reason
    there._context = certificates.server("127.0.0.1")
    assert not delivery.drain(30)
    assert len(counted(b"".join(there.got))) == 20


def test_missing_client_certificate_is_reported(certificates, server, deliver, tmp_path):
    context = certificates.server("siem.example", client=True)
    there = server(context=context)
    tls = {"ca": str(certificates.ca), "server_name": "siem.example"}
    delivery = deliver(syslog(tmp_path, there.port, "tls", tls=tls))
    delivery.put(record(1))
    wait_until(lambda: delivery.status()[0].retried >= 2)
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
    wait_until(lambda: delivery.status()[0].retried >= 1)
    assert there.got == []


def test_udp_notices_a_closed_port_and_sends_a_datagram_a_message(deliver, tmp_path):
    port = free_port(socket.SOCK_DGRAM)
    delivery = deliver(syslog(tmp_path, port, "udp"))
    delivery.put(*records(3))
    wait_until(lambda: delivery.status()[0].retried >= 2)
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


def outgoing(alert, form):
    render = FORMATS[form].render
    return OutgoingAlert(
        number=1,
        key="k",
        record=alert,
        text=render(alert),
        is_json=FORMATS[form].json,
        render_within=lambda record, limit: render_within(render, record, limit),
    )


@pytest.fixture(scope="module", params=RENDERERS)
def long_alert(request):
    """A long alert in each format."""
    return request.param, outgoing(large(2), request.param)


@pytest.mark.parametrize("limit", [480, 1024, 2048, 8192, 65536])
def test_long_alert_fits_and_is_cut_at_a_character_boundary(long_alert, limit):
    form, alert = long_alert
    data, short = encode_within(alert, limit)
    assert len(data) <= limit
    text = data.decode()
    assert short is (len(alert.text.encode()) > limit)
    assert "\n" not in text
    if limit >= 8192 and FORMATS[form].json:
        json.loads(text)
    else:
        assert alert.record["id"] in text or text.endswith(MARK)


def test_alert_that_fits_is_unchanged():
    one = outgoing(record(3), "cef")
    assert encode_within(one, 8192) == (one.text.encode(), False)


@given(st.sampled_from(HOSTILE), st.integers(16, 3000))
def test_every_limit_is_observed(text, limit):
    made = record(1, names=[text * 5] * 5)
    data, _ = encode_within(outgoing(made, "jsonl"), limit)
    assert len(data) <= limit
    data.decode()
