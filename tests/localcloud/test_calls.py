"""Which outward calls are written down as the product's, and which as the host's own."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from localcloud import calls
from shared.adapters import storage_account

STORAGE = (
    "AccountName=devstoreaccount1;BlobEndpoint=http://127.0.0.1:1001/devstoreaccount1;"
    "QueueEndpoint=http://127.0.0.1:1002/devstoreaccount1;TableEndpoint=http://127.0.0.1:1003/devstoreaccount1;"
)


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Watch libraries that answer 200 without a network; return the journal."""
    answer = SimpleNamespace(status=200, status_code=200)
    monkeypatch.setattr("httpcore.ConnectionPool.handle_request", lambda _pool, _request: answer)
    monkeypatch.setattr("requests.adapters.HTTPAdapter.send", lambda _adapter, _request, **_: answer)
    calls.install({calls.JOURNAL: str(tmp_path / "calls"), "MAIL_STORAGE": STORAGE})
    return tmp_path / "calls"


def ask_storage(port: int, path: str) -> None:
    """Call storage as its packages do."""
    from requests import PreparedRequest  # noqa: PLC0415 - after the fixture has replaced it
    from requests.adapters import HTTPAdapter  # noqa: PLC0415 - see above

    request = PreparedRequest()
    request.prepare("GET", f"http://127.0.0.1:{port}/devstoreaccount1/{path}")
    HTTPAdapter().send(request)


def ask_graph() -> None:
    """Call Graph as httpx does."""
    from httpcore import URL, ConnectionPool, Request  # noqa: PLC0415 - after the fixture has replaced it

    ConnectionPool().handle_request(Request("POST", URL("https://graph.microsoft.com/v1.0/$batch")))


def test_a_call_below_the_products_code_is_the_products(watched: Path) -> None:
    """The outermost part of the product on the stack gives its name; no part of it means the host."""
    storage_account.call(ask_graph)
    ask_graph()
    assert ["adapters", ""] == [call.area for call in calls.read_calls(watched)]
    assert [("POST", "graph", 200)] * 2 == [
        (call.method, call.place, call.status) for call in calls.read_calls(watched)
    ]


@pytest.mark.parametrize(
    ("port", "path", "place"),
    [
        (1003, "connections()?$filter=x", "table connections"),
        (1003, "$batch", "table $batch"),
        (1002, "mail-fetch/messages", "queue mail-fetch"),
        (1001, "received/a/b.eml", "blob received"),
        (1004, "x", "127.0.0.1"),
    ],
)
def test_a_call_of_storage_names_service_and_place(watched: Path, port: int, path: str, place: str) -> None:
    """An emulator's services are told apart by their ports; anything else by its host."""
    ask_storage(port, path)
    (call,) = calls.read_calls(watched)
    assert (place, place != "127.0.0.1") == (call.place, call.is_storage)
    assert call.began <= call.ended


def test_a_call_without_an_answer_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What raises was called all the same; its status is 0."""

    def breaks(_pool: object, _request: object) -> None:
        raise ConnectionResetError

    monkeypatch.setattr("httpcore.ConnectionPool.handle_request", breaks)
    calls.install({calls.JOURNAL: str(tmp_path / "calls")})
    with pytest.raises(ConnectionResetError):
        ask_graph()
    assert [0] == [call.status for call in calls.read_calls(tmp_path / "calls")]


def test_a_half_written_line_waits(tmp_path: Path) -> None:
    """A line that is being written is left out, and a journal that is not there is empty."""
    assert [] == calls.read_calls(tmp_path / "none")
    (tmp_path / "half").write_text('{"began": 1')
    assert [] == calls.read_calls(tmp_path / "half")
