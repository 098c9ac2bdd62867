"""Notifications by apprise, to a server of the services that can be anywhere."""

import json

import pytest
from support.made_alerts import HOSTILE, output, record, records
from support.receivers import reset, status
from support.waiting import wait_until

from netwatch.core.errors import ConfigError
from netwatch.delivery import attempt
from netwatch.delivery.worker import RetryTiming
from netwatch.sinks.notify import MAX_LINES

SERVICES = {
    "json": "json://user:s3cr3t-word@127.0.0.1:{port}/hook",
    "mattermost": "mmost://127.0.0.1:{port}/s3cr3ts3cr3ts3cr3ts3cr3t",
    "gotify": "gotify://127.0.0.1:{port}/s3cr3ts3cr3ts",
    "rocketchat": "rocket://s3cr3t-word/a/b@127.0.0.1:{port}/#channel",
}
MARKUP = "@<>*_~|[]#&`\\{}"


@pytest.fixture
def service(http, monkeypatch, tmp_path):
    """An output to a service on the server."""

    def made(name="json", **keys):
        monkeypatch.setenv("CHAT", SERVICES[name].format(port=http.server_port))
        return output(tmp_path, type="apprise", url={"env": "CHAT"}, **{"every": "1s", **keys})

    return made


def texts(http):
    """The messages that the server has received, whatever the service calls them."""
    found = []
    for body in http.events:
        message = json.loads(body)
        found.append(message.get("message") or message.get("text"))
    return found


@pytest.mark.parametrize("name", ["json", "mattermost", "gotify"])
def test_alerts_of_a_period_are_one_message(name, http, service, deliver):
    delivery = deliver(service(name))
    delivery.put(*records(5))
    assert not delivery.drain(30)
    (text,) = texts(http)
    assert text.count("netwatch test by") == 5
    assert delivery.status()[0].sent == 5


def test_a_long_message_says_how_many_more_there_are(http, service, deliver):
    delivery = deliver(service())
    delivery.put(*records(MAX_LINES + 7))
    assert not delivery.drain(30)
    (text,) = texts(http)
    assert text.count("netwatch test by") == MAX_LINES
    assert text.rstrip().endswith("and 7 more")


def test_hostile_text_is_no_markup_and_addresses_nobody(http, service, deliver):
    hostile = [*HOSTILE, "@everyone", "<!channel>", "[x](https://evil.example)", "*b* _i_ `c` ~s~"]
    alerts = [record(number, names=[text]) for number, text in enumerate(hostile)]
    for alert, text in zip(alerts, hostile, strict=True):
        alert["device"]["id"] = text
    delivery = deliver(service())
    delivery.put(*alerts)
    assert not delivery.drain(30)
    (body,) = http.events
    message = json.loads(body)
    for text in (message["title"], message["message"]):
        assert not set(text) & set(MARKUP)
        assert "://" not in text
    assert len(message["message"].splitlines()) == len(hostile)
    assert "\uff20everyone" in message["message"]


def test_a_template_makes_the_text(http, service, deliver, tmp_path):
    (tmp_path / "text.j2").write_text(
        "{{ title }}!{% for alert in alerts %} {{ alert.device.id }} <b>{% endfor %}"
    )
    delivery = deliver(service(template="text.j2"))
    delivery.put(record(1, device={"id": "<b>"}))
    assert not delivery.drain(30)
    # What the administrator writes is sent as it is, what an alert contains is not.
    assert texts(http) == ["1 advisory! \uff1cb\uff1e <b>"]


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{{ alerts", "is no template: line 1"),
        ("{{ alert.id }}", "the template fails: 'alert' is undefined"),
        ("{{ alerts.__class__.__mro__ }}", "the template fails: access to attribute '__class__'"),
        ("{{ 'x' * 2000000 }}", "the template makes more than 1,048,576 characters"),
        ("{% include '/etc/passwd' %}", "the template fails: no loader"),
        ("{% for a in range(10000000) %}{% endfor %}", "the template fails: Range too big"),
    ],
)
def test_template_that_fails_is_a_mistake_of_the_configuration(service, tmp_path, template, reason):
    (tmp_path / "text.j2").write_text(template)
    with pytest.raises(ConfigError) as caught:
        service(template="text.j2")
    assert reason in str(caught.value)


@pytest.mark.parametrize("fault", [status(500), status(429), reset])
def test_temporary_failures_are_retried(fault, http, service, deliver):
    http.faults = [fault, fault]
    delivery = deliver(service())
    delivery.put(*records(3))
    assert not delivery.drain(30)
    assert len(http.accepted) == 1
    assert delivery.status()[0].retried == 2


def test_rejected_credentials_pause_the_output(http, service, deliver):
    http.faults = [status(401)]
    timing = RetryTiming(first_delay=0.01, max_delay=0.01, paused_delay=0.2, poll_interval=0.02)
    delivery = deliver(service(), timing=timing)
    delivery.put(*records(2))
    delivery.drain(0.1)
    paused = wait_until(lambda: [each for each in delivery.status() if each.state == "paused"])
    assert "401" in paused[0].reason
    assert "s3cr3t" not in paused[0].reason
    wait_until(lambda: not delivery.drain(0.1))
    assert len(texts(http)) == 1


def test_refused_message_is_split_until_the_alert_is_found(http, service, deliver):
    def refuse(request):
        http.faults.insert(0, refuse)
        return b"poison" in request.body and request.answer(400, {})

    http.faults = [refuse]
    delivery = deliver(service())
    delivery.put(*records(6), record(7, device={"id": "poison"}))
    assert not delivery.drain(30)
    assert (delivery.status()[0].sent, delivery.status()[0].dead) == (6, 1)


def test_an_address_of_no_service_pauses_the_output(service, monkeypatch):
    made = service()
    monkeypatch.setenv("CHAT", "nonsense://s3cr3t")
    assert attempt.check_connection(made) == (
        False,
        "the secret 'url' is no address that apprise knows",
    )


def test_connection_check_sends_nothing(http, service):
    assert attempt.check_connection(service("gotify")) == (
        True,
        "is an address of Gotify; no message was sent",
    )
    assert http.requests == 0
