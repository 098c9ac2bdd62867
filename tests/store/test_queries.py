"""What neither configuration nor store knows is a mistake, not a question without an answer."""

import pytest
from support.asked_stores import AskedStore, filled_store, run
from support.paths import PCAPS

from netwatch.formats.values import json_line
from netwatch.store.statements import is_device, mentions_device, mentions_name

UNKNOWN = {
    "app": ("tictoc", "an app", "; did you mean 'tiktok'?"),
    "ban": ("our-rules", "a ban", "; did you mean 'our-rule'?"),
    "network": ("hq2", "a network", "; did you mean 'hq'?"),
    "device": ("lab-2l", "a device", "; did you mean 'lab-21'?"),
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> AskedStore:
    folder = tmp_path_factory.mktemp("known")
    return filled_store(folder, str(folder / "kept"), "", [PCAPS / "five-kinds.pcap"])


@pytest.mark.parametrize("records", ["incidents", "cases", "observations", "flows", "coverage"])
@pytest.mark.parametrize("name", UNKNOWN)
def test_what_nobody_knows_is_a_mistake(store: AskedStore, records: str, name: str) -> None:
    word, expected, hint = UNKNOWN[name]
    done = store.ask("query", records, f"--{name}", word)
    assert (done.status, done.output) == (2, "")
    if f"--{name} is not a filter" in done.errors:
        assert records in ("observations", "flows", "coverage")
        return
    assert "expected an app id" in done.errors or f"--{name}: expected {expected}" in done.errors
    assert done.errors.rstrip().endswith(f"'{word}'{hint}")


def test_what_is_stored_is_known_without_its_configuration(store: AskedStore) -> None:
    filters = {
        "app": "tiktok",
        "ban": "our-rule",
        "network": "labs",
        "device": "lab-21.corp.example",
    }
    for name, word in filters.items():
        words = ("query", "incidents", f"--{name}", word, "--format", "jsonl")
        found = run("store", *words, "--store-path", store.path)
        assert found.status == 0, found.errors
        assert found.output == store.ask(*words).output
        assert found.output


@pytest.mark.parametrize("word", ["203.0.113.99", "2001:db8::99", "02:00:00:00:00:99"])
def test_any_address_can_be_asked_for(store: AskedStore, word: str) -> None:
    done = store.ask("query", "incidents", "--device", word, "--format", "jsonl")
    assert (done.status, done.output) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("bans", "list", "--app", "tictoc"), "found 'tictoc'; did you mean 'tiktok'?"),
        (("bans", "list", "--jurisdiction", "XX"), "found 'XX' (known: "),
        (("bans", "show", "be-fed-tiktok-2024"), "; did you mean 'be-fed-tiktok-2023'?"),
        (("signatures", "show", "tictoc"), "; did you mean 'tiktok'?"),
        (("signatures", "export", "--as", "hosts", "--app", "tictoc"), "mean 'tiktok'?"),
        (("signatures", "export", "--as", "hosts", "--ban", "our-rules"), "mean 'our-rule'?"),
        (
            ("report", "--ban", "our-rules", "--from", "2023-03-01", "--to", "2023-03-31"),
            "mean 'our-rule'?",
        ),
        (("outputs", "status", "siem"), "found 'siem'; configured are: none"),
        (("explain", "nothing"), "no incident 'nothing'"),
    ],
)
def test_unknown_ids_of_other_commands(
    store: AskedStore, arguments: tuple[str, ...], hint: str
) -> None:
    done = run(*arguments, "-c", store.config)
    assert done.status == 2
    assert hint in done.errors


def test_a_known_app_without_a_ban_is_no_mistake() -> None:
    done = run("bans", "list", "--app", "tor", "--format", "jsonl")
    assert (done.status, done.output, done.errors) == (0, "", "")


@pytest.mark.parametrize(
    "word",
    ["ws-021", "WS-021", "10.20.1.7", "02:00:00:00:00:07", "02-00-00-00-00-07", "Łukasz-PC",
     'a"b', "a\\b", "M. Curie", "ws-022", "\u202e"],
)  # fmt: skip
def test_a_line_that_cannot_be_of_a_device_is_left_out_early(word: str) -> None:
    """What is left out without reading its JSON is of another device."""
    device = dict.fromkeys(("id", "ip", "mac", "hostname", "owner"))
    others = {"id": "ws-021", "ip": "10.20.1.7", "mac": "02:00:00:00:00:07", "owner": "m. curie"}
    for values in ({"id": word}, {"hostname": word.upper()}, {"owner": word.lower()}, others):
        record = {"device": {**device, **values}}
        if is_device(word, record["device"]):
            assert mentions_device(word)(json_line(record)), values
    assert is_device(word, {**device, "id": word})


def test_most_lines_need_not_be_read() -> None:
    assert not mentions_device("ws-022")('{"device":{"id":"ws-021"}}')
    assert not mentions_name(["tiktok.com"])('{"names":["tiktok.net"]}')
    assert mentions_name(["tiktok.com"])('{"names":["www.tiktok.com"]}')
    assert mentions_name(["*tiktok*"])('{"names":["x"]}')
