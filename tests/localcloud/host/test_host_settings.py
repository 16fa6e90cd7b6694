"""What the host reads before it starts: host.json, connections, keys, and the rules for functions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from localcloud.host.config import QueueOptions, expand, load_config, parse_span
from localcloud.host.connections import resolve
from localcloud.host.errors import StartError
from localcloud.host.functions import Function, check, check_queue_name
from localcloud.host.keys import dump_keys, generate_keys, no_keys, parse_keys
from localcloud.host.messages import TypedData
from localcloud.host.outputs import fill_placeholders, split
from localcloud.host.queue_messages import message_fields


def config_of(tmp_path: Path, queues: object, **environ: str) -> QueueOptions:
    """Return the queue options of a host.json."""
    (tmp_path / "host.json").write_text(json.dumps({"version": "2.0", "extensions": {"queues": queues}}))
    return load_config(tmp_path, environ).queues


def test_queue_defaults(tmp_path: Path) -> None:
    """Without a word in host.json the documented defaults hold, polling as `func start` does."""
    assert QueueOptions(16, 8, 5, 0, 2.0, base64=True, lease=600) == config_of(tmp_path, {})


def test_queue_options(tmp_path: Path) -> None:
    """host.json decides, and the environment may shorten times for tests."""
    section = {
        "batchSize": 4,
        "visibilityTimeout": "00:00:30",
        "maxPollingInterval": "00:01:00",
        "messageEncoding": "none",
    }
    overrides = {"LOCAL_HOST_QUEUE_LEASE_SECONDS": "2", "LOCAL_HOST_QUEUE_POLL_SECONDS": "0.2"}

    assert QueueOptions(4, 2, 5, 30, 60.0, base64=False, lease=600) == config_of(tmp_path, section)
    assert QueueOptions(4, 2, 5, 30, 0.2, base64=False, lease=2) == config_of(tmp_path, section, **overrides)


@pytest.mark.parametrize(
    "section",
    [{"batchSize": 33}, {"batchSize": "many"}, {"visibilityTimeout": "30"}, {"messageEncoding": "utf-8"}, [1]],
)
def test_bad_queue_options(tmp_path: Path, section: object) -> None:
    """A bad value stops the start."""
    with pytest.raises(StartError):
        config_of(tmp_path, section)


@pytest.mark.parametrize(("text", "seconds"), [("00:00:30", 30.0), ("1.02:03:04.5", 93784.5), ("00:00:00.1", 0.1)])
def test_spans(text: str, seconds: float) -> None:
    """Time spans are read as .NET writes them."""
    assert seconds == parse_span(text)


def test_expand() -> None:
    """Settings named between percent signs are filled in; a missing one is named."""
    assert "mail-fetch-7" == expand("%QUEUE%-%N%", {"QUEUE": "mail-fetch", "N": "7"})
    with pytest.raises(StartError, match="'QUEUE'"):
        expand("%QUEUE%", {})


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"DATA": "a=b"}, {"connection_string": "a=b"}),
        ({"AzureWebJobsDATA": "c=d", "DATA": "a=b"}, {"connection_string": "c=d"}),
        ({"DATA__accountName": "acct"}, {"endpoint": "https://acct.queue.core.windows.net", "client_id": ""}),
        (
            {"DATA__queueServiceUri": "https://q", "DATA__accountName": "acct", "DATA__clientId": "id"},
            {"endpoint": "https://q", "client_id": "id"},
        ),
    ],
)
def test_connections(environ: dict[str, str], expected: dict[str, str]) -> None:
    """A connection is a string, or an identity's prefix."""
    assert expected == resolve("DATA", "queue", environ)


@pytest.mark.parametrize("environ", [{}, {"DATA": ""}, {"DATA__blobServiceUri": "https://b"}])
def test_missing_connections(environ: dict[str, str]) -> None:
    """A connection that says nothing about the service is missing."""
    with pytest.raises(StartError, match="'DATA' is missing"):
        resolve("DATA", "queue", environ)


def test_keys_round_trip() -> None:
    """Made-up keys differ, and survive their JSON form."""
    keys = generate_keys()

    assert keys == parse_keys(dump_keys(keys))
    assert keys != generate_keys()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"master": ""}', '{"master": "m", "host": {"default": ""}}'])
def test_bad_keys(text: str) -> None:
    """Keys of another shape, or empty ones, are refused: an empty key would open everything."""
    with pytest.raises(StartError):
        parse_keys(text)


def test_no_keys_open_everything() -> None:
    """Without keys nothing is asked for, as under `func start`."""
    assert [True, True] == [no_keys().allow(level, None) for level in ("FUNCTION", "ADMIN")]


def http(name: str, route: str | None = None, *methods: str) -> Function:
    """Return an HTTP function."""
    return Function(name, name, ({"name": "r", "type": "httpTrigger", "route": route, "methods": list(methods)},))


@pytest.mark.parametrize(
    ("functions", "expected"),
    [
        ([http("adminList", "list")], "adminList: function names must not begin"),
        ([http("runtime_state", "state")], "runtime_state: function names must not begin"),
        ([http("list", "Administrators/{id}")], "list: route 'Administrators/{id}' conflicts"),
        ([http("list", "/runtime/x")], "conflicts"),
        ([http("no spaces", "a")], "not a valid function name"),
        ([http("a", "x", "GET"), http("b", "X", "GET", "POST")], "b: its route 'X' is taken by 'a'"),
        ([http("a", "x"), http("b", "x", "POST")], "b: its route 'x' is taken by 'a'"),
        (
            [Function("1", "a", ({"name": "b", "type": "blobTrigger"},))],
            "a: binding type 'blobTrigger' is not supported",
        ),
        ([Function("1", "a", ())], "a: a function has exactly one trigger, this one has 0"),
        ([Function("1", "a", http("a").bindings, has_retry=True)], "a: retry policies are not supported"),
    ],
)
def test_refused_functions(functions: list[Function], expected: str) -> None:
    """What the real host refuses, and what this one cannot run, is named."""
    with pytest.raises(StartError) as refused:
        check(functions)

    assert expected in str(refused.value)


def test_accepted_functions() -> None:
    """Different methods may share a route; reserved words may stand later in a route."""
    check([http("a", "x", "GET"), http("b", "x", "POST"), http("c", "health/admin"), http("d")])


@pytest.mark.parametrize("name", ["ab", "-abc", "abc-", "a--b", "Abc", "a_b", "a" * 64, ""])
def test_bad_queue_names(name: str) -> None:
    """Names that storage would refuse are refused at the start."""
    with pytest.raises(StartError):
        check_queue_name(name)


@pytest.mark.parametrize(
    ("value", "messages"),
    [
        (TypedData(string="text"), ["text"]),
        (TypedData(bytes=b"\xff"), [b"\xff"]),
        (TypedData(json='["a", 1, {"b": "ä"}]'), ["a", "1", '{\n  "b": "ä"\n}']),
        (TypedData(string='{"a":1}'), ['{\n  "a": 1\n}']),
        (TypedData(string="[not json]"), ["[not json]"]),
        (TypedData(string='"quoted"'), ['"quoted"']),
        (TypedData(string="[]"), []),
    ],
)
def test_queue_output(value: TypedData, messages: list[str | bytes]) -> None:
    """Arrays fan out, objects are indented, everything else stays."""
    assert messages == split(value)


def test_placeholders() -> None:
    """The name of an output queue may take fields of the message that triggered the function."""
    fields = message_fields("7", TypedData(string='{"tenant": "Contoso"}'))

    assert "to-contoso-7" == fill_placeholders("to-{tenant}-{id}", fields)
