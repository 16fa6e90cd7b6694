"""Which addresses a destination may have, checked before and at the moment of connecting."""

import base64
import contextlib
from collections.abc import Callable
from datetime import UTC, datetime

import httpcore
import pytest
import standardwebhooks
from hypothesis import given
from hypothesis import strategies as st

from shared.adapters import http_client
from shared.adapters.webhooks import GuardedWebhooks, is_public, signature
from shared.codes import Code
from shared.errors import Fault

OWN = "https://mail.contoso.example"


class Network(httpcore.NetworkBackend):
    """A network where every connect is noted and answered by *answer*."""

    def __init__(
        self,
        answer: bytes = b"HTTP/1.1 204 No Content\r\n\r\n",
        *,
        refuse: tuple[str, ...] = (),
        in_tunnel: bytes = b"",
    ) -> None:
        self.answer = answer
        self.refuse = refuse
        self.in_tunnel = in_tunnel
        self.portion: Callable[[int], int] = lambda most: most
        self.read = 0
        self.written = b""
        self.longest_wait = 0.0
        self.connected: list[tuple[str, int]] = []
        self.names: list[str | None] = []

    def connect_tcp(self, host: str, port: int, *_: object, **__: object) -> httpcore.NetworkStream:
        """Note the address and give a stream."""
        self.connected.append((host, port))
        if host in self.refuse:
            raise httpcore.ConnectError("refused")
        return Stream(self)


class Stream(httpcore.NetworkStream):
    """One connection of `Network`."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.rest = network.answer

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Give the next bytes."""
        size = self.network.portion(max_bytes)
        part, self.rest = self.rest[:size], self.rest[size:]
        self.network.read += len(part)
        self.network.longest_wait = max(self.network.longest_wait, timeout or 3600.0)
        return part

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Take anything."""
        self.network.written += buffer

    def close(self) -> None:
        """Do nothing."""

    def start_tls(
        self, ssl_context: object, server_hostname: str | None = None, timeout: float | None = None
    ) -> "Stream":
        """Note the name that the certificate must bear."""
        self.network.names.append(server_hostname)
        self.rest = self.network.in_tunnel or self.rest
        return self

    def get_extra_info(self, info: str) -> object:
        """Know nothing."""
        return None


def webhooks(network: Network, addresses: list[str], allowed: tuple[tuple[str, int], ...] = ()) -> GuardedWebhooks:
    """Return the client on a network where every name has these addresses."""
    return GuardedWebhooks(allowed, OWN, lambda host, port: list(addresses), network)


def test_a_post_goes_to_the_checked_address_under_the_name() -> None:
    """The name is resolved once; the certificate must be the name's."""
    network, asked = Network(), []

    def resolve(host: str, port: int) -> list[str]:
        asked.append((host, port))
        return ["93.184.216.34"]

    answer = GuardedWebhooks((), OWN, resolve, network).post("https://hook.example/a", b"{}", {})
    assert (answer.status, asked) == (204, [("hook.example", 443)])
    assert (network.connected, network.names) == ([("93.184.216.34", 443)], ["hook.example"])


def test_a_name_that_rebinds_gains_nothing() -> None:
    """The second answer of the resolver is never asked for, so it cannot differ from the one that was checked."""
    answers = iter([["93.184.216.34"], ["169.254.169.254"]])
    network = Network(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    client = GuardedWebhooks((), OWN, lambda host, port: next(answers), network)
    assert client.post("https://hook.example/", b"{}", {}).status == 200
    with pytest.raises(Fault) as caught:
        client.post("https://hook.example/", b"{}", {})
    assert caught.value.code == Code.DESTINATION_FORBIDDEN
    assert network.connected == [("93.184.216.34", 443)]


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "168.63.129.16", "100.64.0.1",
        "0.0.0.1", "224.0.0.1", "255.255.255.255", "192.88.99.1", "::1", "::", "fe80::1", "fe80::1%eth0", "fd00::1",
        "ff02::1", "::ffff:93.184.216.34", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::1", "2002:7f00:1::",
        "2001::1", "fec0::1", "240.0.0.1", "::127.0.0.1", "::ffff:0:127.0.0.1", "100::1", "2001:db8::1", "192.0.0.1",
        "198.18.0.1", "203.0.113.1", "not an address",
    ],
)  # fmt: skip
def test_addresses_that_lead_inside_are_refused(address: str) -> None:
    """One such address among others is enough; no connection is made."""
    network = Network()
    assert not is_public(address)
    with pytest.raises(Fault) as caught:
        webhooks(network, ["93.184.216.34", address]).post("https://hook.example/", b"{}", {})
    assert (caught.value.code, network.connected) == (Code.DESTINATION_FORBIDDEN, [])


@pytest.mark.parametrize("address", ["93.184.216.34", "8.8.8.8", "2606:4700::1111"])
def test_public_addresses_are_called(address: str) -> None:
    """Global addresses of both families pass."""
    assert is_public(address)


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://hook.example/a?b=c", True),
        ("https://hook.example:443/", True),
        ("https://93.184.216.34/", True),
        ("http://127.0.0.1:9000/", True),
        ("https://127.0.0.1:9000/", True),
        ("http://hook.example/", False),
        ("https://hook.example:8443/", False),
        ("https://user:secret@hook.example/", False),
        ("https://127.0.0.1/", False),
        ("https://127.1/", False),
        ("https://2130706433/", False),
        ("https://0x7f000001/", False),
        ("https://[::1]/", False),
        ("https://mail.contoso.example/api/x", False),
        ("https://MAIL.contoso.example./", False),
        ("ftp://127.0.0.1:9000/", False),
        ("//hook.example/", False),
        ("hook.example", False),
        ("", False),
        ("https://", False),
        ("https://hook.example/" + "a" * 2000, False),
        ("https://hook.example:99999/", False),
    ],
)
def test_a_url_is_judged_before_it_is_stored(url: str, allowed: bool) -> None:
    """Https on 443 with a public name, or a listed host and port; never ourselves."""
    found = webhooks(Network(), [], (("127.0.0.1", 9000),)).check(url)
    assert (found is None) is allowed
    assert found is None or found.endswith(".")


@given(st.text(max_size=60))
def test_no_text_breaks_the_check(text: str) -> None:
    """Whatever is entered as a URL, the check answers."""
    found = webhooks(Network(), []).check(f"https://{text}")
    assert found is None or found.endswith(".")


def test_a_listed_host_may_be_plain_and_private() -> None:
    """DELIVERY_ALLOW is for receivers within one's own network."""
    network = Network()
    client = webhooks(network, ["127.0.0.1"], (("127.0.0.1", 9000),))
    assert client.post("http://127.0.0.1:9000/", b"{}", {}).status == 204
    assert (network.connected, network.names) == ([("127.0.0.1", 9000)], [])


def test_redirects_are_answers_and_cookies_are_dropped() -> None:
    """A redirect would lead past the check; nothing is remembered between two posts."""
    network = Network(b"HTTP/1.1 302 Found\r\nLocation: https://x/\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n")
    client = webhooks(network, ["93.184.216.34"])
    assert client.post("https://hook.example/", b"{}", {}).status == 302
    assert (len(network.connected), len(client._client.cookies.jar)) == (1, 0)


def test_a_huge_answer_is_not_read() -> None:
    """Of an answer without end little more than 64 KiB are read."""
    network = Network(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1_000_000)
    assert webhooks(network, ["93.184.216.34"]).post("https://hook.example/", b"{}", {}).status == 200
    assert 64 * 1024 < network.read <= 3 * 64 * 1024


class Watch:
    """A clock that a dripping peer moves on."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        """Return seconds."""
        return self.now


@pytest.mark.parametrize("headers", [b"", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_a_dripping_answer_ends_after_twenty_seconds(headers: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte now and then trips no timeout of single reads; the whole call has one deadline, answer included."""
    watch = Watch()
    monkeypatch.setattr(http_client, "time", watch)
    began = watch.now
    network = Network(headers + b"x" * 60_000)

    def drip(_: int) -> int:
        watch.now += 0.9
        return 1

    network.portion = drip
    with pytest.raises(Fault) as caught:
        webhooks(network, ["93.184.216.34"]).post("https://hook.example/", b"{}", {})
    assert (caught.value.code, caught.value.outcome_unknown) == (Code.DESTINATION_UNREACHABLE, True)
    assert 20.0 <= watch.now - began <= 21.0
    assert network.longest_wait <= 20.0


def test_no_proxy_of_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would resolve the name by itself, and the check would be void."""
    for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:3128")
    network = Network()
    assert webhooks(network, ["93.184.216.34"]).post("https://hook.example/", b"{}", {}).status == 204
    assert network.connected == [("93.184.216.34", 443)]


def test_a_proxy_that_is_set_makes_the_calls_and_checks_the_addresses() -> None:
    """Names are the proxy's to resolve; what a URL alone tells is refused all the same."""
    network = Network(b"HTTP/1.1 200 OK\r\n\r\n", in_tunnel=b"HTTP/1.1 204 No Content\r\n\r\n")
    asked: list[str] = []

    def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"]

    client = GuardedWebhooks((), OWN, resolve, network, proxy="http://proxy.internal:3128")
    assert client.post("https://hook.example/", b"{}", {}).status == 204
    assert (network.connected, asked, network.names) == ([("proxy.internal", 3128)], [], ["hook.example"])
    assert b"CONNECT hook.example:443 " in network.written
    for url in ("http://hook.example/", "https://127.0.0.1/", f"{OWN}/api/x"):
        with pytest.raises(Fault):
            client.post(url, b"{}", {})
    assert len(network.connected) == 1


ADDRESSES = st.one_of(
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(str),
    st.sampled_from(["93.184.216.34", "10.0.0.1", "::1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "168.63.129.16"]),
)


@given(st.lists(st.lists(ADDRESSES, max_size=3), min_size=1, max_size=4))
def test_however_names_rebind_only_checked_addresses_are_called(answers: list[list[str]]) -> None:
    """Each connect goes to an address of the answer that was checked for it, and every one of that answer is public."""
    network = Network(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    left = list(answers)
    client = GuardedWebhooks((), OWN, lambda host, port: left.pop(0), network)
    for answer in answers:
        before = len(network.connected)
        with contextlib.suppress(Fault):
            client.post("https://hook.example/", b"{}", {})
        new = [address for address, _ in network.connected[before:]]
        assert new == [] or (new == answer[:1] and all(is_public(address) for address in answer))
    assert left == []


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 2", b"garbage\r\n\r\n"])
def test_what_is_no_answer_is_tried_again(answer: bytes) -> None:
    """A connection that ends early is the destination's fault, and may pass."""
    with pytest.raises(Fault) as caught:
        webhooks(Network(answer), ["93.184.216.34"]).post("https://hook.example/", b"{}", {})
    assert (caught.value.code, caught.value.retryable) == (Code.DESTINATION_UNREACHABLE, True)


def test_a_name_that_no_resolver_can_take_is_unreachable() -> None:
    """Python refuses labels of more than 63 characters by an error of another kind."""
    network = Network()
    client = GuardedWebhooks((), OWN, lambda host, port: [host.encode("idna").decode()], network)
    with pytest.raises(Fault) as caught:
        client.post(f"https://{'a' * 64}.example/", b"{}", {})
    assert (caught.value.code, network.connected) == (Code.DESTINATION_UNREACHABLE, [])


def test_the_next_address_is_tried() -> None:
    """One dead address of several does not make a destination unreachable."""
    network = Network(refuse=("93.184.216.34",))
    assert webhooks(network, ["93.184.216.34", "93.184.216.35"]).post("https://hook.example/", b"{}", {}).status == 204


def test_retry_after_is_handed_on() -> None:
    """A destination may say when to come again."""
    network = Network(b"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n")
    answer = webhooks(network, ["93.184.216.34"]).post("https://hook.example/", b"{}", {})
    assert (answer.status, answer.retry_after) == (503, 7.0)


def test_a_signature_is_what_the_standard_says() -> None:
    """The three headers verify with the standard's own library."""
    secret = f"whsec_{base64.b64encode(b'k' * 32).decode()}"
    at = datetime.now(UTC)
    headers = signature(secret, "rcv_1", at, '{"ä":1}'.encode())
    assert standardwebhooks.Webhook(secret).verify('{"ä":1}', headers) == {"ä": 1}
