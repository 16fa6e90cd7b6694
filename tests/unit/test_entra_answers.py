"""Every answer of Microsoft's sign-in that is no token: real msal, over a transport that answers as Entra does."""

import json
from dataclasses import dataclass, field

import httpx
import jwt
import pytest
from jwt.types import Options

from shared.adapters.entra import MsalEntra
from shared.adapters.entra_errors import MEANINGS
from shared.codes import Code
from shared.errors import CredentialFault, Fault, GrantFault, Throttled, Unreachable
from shared.ports import AccessToken
from shared.proofs import identity_value
from tests.fakes import MovableClock
from tests.scenes.administration import CLIENT_ID, CONTOSO, SECRET
from tests.scenes.certificates import certificate, certificate_pem, key_pem, rsa_key

HOST = "login.microsoftonline.com"
LOGIN = f"https://{HOST}/{CONTOSO}"
TOKEN_URL = f"{LOGIN}/oauth2/v2.0/token"
DISCOVERY = {
    "issuer": f"{LOGIN}/v2.0",
    "authorization_endpoint": f"{LOGIN}/oauth2/v2.0/authorize",
    "token_endpoint": TOKEN_URL,
    "jwks_uri": f"{LOGIN}/discovery/v2.0/keys",
}
Answering = httpx.Response | httpx.TransportError


@dataclass
class Microsoft:
    """Answers discovery by the book, and each token request with the next of *answers*; the last one stays."""

    answers: list[Answering]
    asked: list[httpx.Request] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer *request*."""
        if request.method == "GET":
            return httpx.Response(200, json=DISCOVERY)
        self.asked.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def form(self, number: int = -1) -> dict[str, str]:
        """Return the fields of a request."""
        return dict(httpx.QueryParams(self.asked[number].content.decode()))


def entra(*answers: Answering) -> tuple[MsalEntra, Microsoft]:
    """Return the adapter over these answers."""
    microsoft = Microsoft(list(answers))
    client = httpx.Client(transport=httpx.MockTransport(microsoft))
    return MsalEntra(client, lambda identity, audience: f"assertion of {identity} for {audience}"), microsoft


def ask(adapter: MsalEntra, proof: str = SECRET, *, fresh: bool = False) -> AccessToken:
    """Ask for a token as the product does."""
    scope = "https://graph.microsoft.com/.default"
    return adapter.token(login_host=HOST, tenant=CONTOSO, client_id=CLIENT_ID, secret=proof, scope=scope, fresh=fresh)


def refusal(status: int, error: str, number: int = 0) -> httpx.Response:
    """Return a refusal in Entra's envelope."""
    body = {
        "error": error,
        "error_description": f"AADSTS{number}: Words.\r\nTrace ID: t-1\r\nCorrelation ID: c-1",
        "error_codes": [number] if number else [],
        "trace_id": "t-1",
        "correlation_id": "c-1",
        "error_uri": f"https://{HOST}/error?code={number}",
    }
    return httpx.Response(status, json=body)


def token(value: str = "token", **more: int) -> httpx.Response:
    """Return a token."""
    return httpx.Response(200, json={"token_type": "Bearer", "expires_in": 3599, "access_token": value, **more})


def fault_from(*answers: Answering, fresh: bool = False) -> Fault:
    """Return the fault that these answers become."""
    with pytest.raises(Fault) as caught:
        ask(entra(*answers)[0], fresh=fresh)
    return caught.value


# The table of the error envelope in the protocol notes: number, HTTP status, OAuth error; then what it is to us.
TABLE: list[tuple[int, int, str, type[Fault], Code, bool, str]] = [
    (7000215, 401, "invalid_client", CredentialFault, Code.SECRET_WRONG, False, "column Value"),
    (70002, 401, "invalid_client", CredentialFault, Code.SECRET_WRONG, False, "column Value"),
    (7000222, 401, "invalid_client", CredentialFault, Code.SECRET_EXPIRED, False, "new one in the portal"),
    (700016, 400, "unauthorized_client", GrantFault, Code.APP_NOT_CONSENTED, False, "consent"),
    (7000229, 401, "invalid_client", GrantFault, Code.APP_NOT_CONSENTED, False, "consent"),
    (65001, 400, "invalid_grant", GrantFault, Code.APP_NOT_CONSENTED, False, "consent"),
    (90002, 400, "invalid_request", GrantFault, Code.TENANT_UNKNOWN, False, "Check the tenant and the cloud"),
    (700027, 401, "invalid_client", CredentialFault, Code.ASSERTION_REFUSED, False, "certificate"),
    (700213, 401, "invalid_client", CredentialFault, Code.ASSERTION_REFUSED, False, "identity"),
    (700211, 401, "invalid_client", CredentialFault, Code.ASSERTION_REFUSED, False, "identity"),
    (700212, 401, "invalid_client", CredentialFault, Code.ASSERTION_REFUSED, False, "identity"),
    (70021, 401, "invalid_client", CredentialFault, Code.ASSERTION_REFUSED, False, "identity"),
    (70011, 400, "invalid_scope", CredentialFault, Code.CREDENTIAL_REFUSED, False, "Check the cloud"),
    (1002012, 400, "invalid_scope", CredentialFault, Code.CREDENTIAL_REFUSED, False, "Check the cloud"),
    (500011, 400, "invalid_resource", GrantFault, Code.WRONG_CLOUD, False, "cloud"),
    (50194, 400, "invalid_request", CredentialFault, Code.CREDENTIAL_REFUSED, False, "multitenant"),
    (9001023, 400, "invalid_request", CredentialFault, Code.CREDENTIAL_REFUSED, False, "multitenant"),
    (7000112, 400, "unauthorized_client", GrantFault, Code.APP_DISABLED, False, "Enterprise applications"),
    (53003, 400, "invalid_grant", GrantFault, Code.APP_DISABLED, False, "Enterprise applications"),
    (90038, 400, "invalid_request", GrantFault, Code.WRONG_CLOUD, False, "choose that cloud"),
    (900382, 400, "invalid_request", GrantFault, Code.WRONG_CLOUD, False, "choose that cloud"),
    (90024, 400, "temporarily_unavailable", Unreachable, Code.SIGN_IN_UNAVAILABLE, True, "by itself"),
    (90033, 503, "temporarily_unavailable", Unreachable, Code.SIGN_IN_UNAVAILABLE, True, "by itself"),
    (90006, 500, "server_error", Unreachable, Code.SIGN_IN_UNAVAILABLE, True, "by itself"),
    (90012, 400, "server_error", Unreachable, Code.SIGN_IN_UNAVAILABLE, True, "by itself"),
    (50000, 500, "server_error", Unreachable, Code.SIGN_IN_UNAVAILABLE, True, "by itself"),
]


@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize(("number", "status", "error", "kind", "code", "retried", "words"), TABLE)
def test_every_refusal_is_told_as_in_the_table(
    number: int, status: int, error: str, kind: type[Fault], code: Code, retried: bool, words: str, fresh: bool
) -> None:
    """Number by number: whose fault it is, our code, whether it is tried again, what to do, and Microsoft's ids."""
    fault = fault_from(refusal(status, error, number), fresh=fresh)

    assert (kind, code, retried) == (type(fault), fault.code, fault.retryable)
    assert words in fault.detail
    said = fault.microsoft
    assert (f"AADSTS{number}", "t-1", "c-1") == (said.code, said.trace_id, said.correlation_id)


def test_the_table_is_whole() -> None:
    """Every number that the adapter knows by heart is either here or a sibling that means the same."""
    siblings = {7000216, 700021, 700023, 700024, 900023}

    assert set(MEANINGS) == {row[0] for row in TABLE} | siblings


HTML = "<html><body>Proxy login</body></html>"


@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize(
    ("answer", "kind", "wait"),
    [
        (httpx.Response(200, html=HTML), Unreachable, None),
        (httpx.Response(403, html=HTML), Unreachable, None),
        (httpx.Response(407, html=HTML), Unreachable, None),
        (httpx.Response(502, html=HTML), Unreachable, None),
        (httpx.Response(200, text=""), Unreachable, None),
        (httpx.Response(200, json=[1]), Unreachable, None),
        (httpx.Response(500, json={}), Unreachable, None),
        (httpx.Response(503, text="busy", headers={"Retry-After": "9"}), Unreachable, 9.0),
        (httpx.Response(429, json={"error": "throttled"}, headers={"Retry-After": "7"}), Throttled, 7.0),
        (httpx.Response(429, text="slow down", headers={"Retry-After": "7"}), Throttled, 7.0),
        (httpx.Response(429, text="slow down"), Throttled, None),
        (httpx.Response(429, json={"error": "throttled"}), Throttled, None),
        (httpx.ConnectError("[Errno -2] Name or service not known"), Unreachable, None),
        (httpx.ConnectTimeout("slow"), Unreachable, None),
        (httpx.ReadTimeout("slow"), Unreachable, None),
        (httpx.RemoteProtocolError("cut"), Unreachable, None),
        (httpx.ReadError("reset"), Unreachable, None),
    ],
)
def test_what_is_no_answer_passes(answer: Answering, kind: type[Fault], wait: float | None, fresh: bool) -> None:
    """A proxy's page, a name that does not resolve, a timeout, 429 and 5xx: retried, and over with the next answer."""
    adapter, _ = entra(answer, token())
    with pytest.raises(Fault) as caught:
        ask(adapter, fresh=fresh)

    assert (kind, Code.SIGN_IN_UNAVAILABLE) == (type(caught.value), caught.value.code)
    assert (True, wait) == (caught.value.retryable, caught.value.retry_after)
    assert "token" == ask(adapter, fresh=fresh).value


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(503, html=HTML),
        httpx.Response(500, json={"error": "server_error"}),
        httpx.Response(429, text="slow down", headers={"Retry-After": "60"}),
        httpx.Response(200, html=HTML),
        httpx.ConnectError("no such host"),
        httpx.ReadTimeout("slow"),
    ],
)
def test_an_outage_while_msal_renews_early_fails_nobody(answer: Answering) -> None:
    """Past `refresh_in` msal asks again; whatever comes then, the token that is still good is handed out."""
    adapter, microsoft = entra(token("good", refresh_in=0), answer)
    first = ask(adapter).value

    assert (first, first) == (ask(adapter).value, ask(adapter).value)
    assert len(microsoft.asked) > 1


def test_a_refusal_is_not_replayed() -> None:
    """Msal would repeat a 400 for a minute without asking; a consent given meanwhile must be seen at once."""
    adapter, microsoft = entra(refusal(400, "unauthorized_client", 700016), token())
    with pytest.raises(GrantFault):
        ask(adapter)

    assert "token" == ask(adapter).value
    assert 2 == len(microsoft.asked)


def test_a_429_is_not_replayed_by_msal() -> None:
    """How long to wait is ours to decide: msal would refuse for `Retry-After` seconds without asking."""
    adapter, _ = entra(httpx.Response(429, json={"error": "x"}, headers={"Retry-After": "3000"}), token())
    with pytest.raises(Throttled):
        ask(adapter)

    assert "token" == ask(adapter).value


def test_a_certificate_signs_as_entra_wants_it_today() -> None:
    """PS256, the certificate named by its SHA-256, for the token endpoint, and short-lived."""
    key = rsa_key()
    made = certificate(key, MovableClock()())
    values = {"private_key": key_pem(key), "public_certificate": certificate_pem(made)}
    adapter, microsoft = entra(token())
    ask(adapter, json.dumps(values))

    form = microsoft.form()
    options: Options = {"verify_exp": False, "verify_iat": False, "verify_nbf": False}
    header = jwt.get_unverified_header(form["client_assertion"])
    claims = jwt.decode(
        form["client_assertion"], key.public_key(), algorithms=["PS256"], audience=TOKEN_URL, options=options
    )
    assert ("PS256", True) == (header["alg"], "x5t#S256" in header)
    assert (CLIENT_ID, CLIENT_ID) == (claims["iss"], claims["sub"])
    assert claims["exp"] - claims["iat"] <= 600
    assert "client_secret" not in form


def test_a_managed_identity_vouches_for_the_app_only_where_a_token_is_fetched() -> None:
    """Its own token is the assertion; a cached token asks nobody."""
    adapter, microsoft = entra(token())
    secret = identity_value("11111111-2222-4333-8444-000000000000", "api://AzureADTokenExchange")
    first, second = ask(adapter, secret).value, ask(adapter, secret).value

    expected = "assertion of 11111111-2222-4333-8444-000000000000 for api://AzureADTokenExchange"
    sent = [microsoft.form(number)["client_assertion"] for number in range(len(microsoft.asked))]
    assert (first, [expected]) == (second, sent)


def test_a_client_secret_that_looks_like_json_is_a_secret() -> None:
    """Only the exact shapes that we write ourselves are anything else."""
    secrets = ['{"a"~bcdef', '{"private_key":1}', "{}{}{}{}"]

    assert secrets == [_sent(secret) for secret in secrets]


def _sent(secret: str) -> str:
    adapter, microsoft = entra(token())
    ask(adapter, secret)
    return microsoft.form()["client_secret"]


@pytest.mark.parametrize(
    "body",
    [
        {"access_token": 5, "expires_in": 3599},
        {"access_token": "", "expires_in": 3599},
        {"access_token": "line\nbreak", "expires_in": 3599},
        {"access_token": "opaque", "expires_in": None},
        {"access_token": "opaque", "expires_in": "soon"},
        {"access_token": "opaque", "expires_in": float("inf")},
    ],
)
def test_a_token_that_is_none_is_as_good_as_no_answer(body: dict[str, object]) -> None:
    """An answer's parts are taken for granted by msal; what it stumbles over is told as an outage, which passes."""
    adapter, _ = entra(httpx.Response(200, content=json.dumps(body)))

    with pytest.raises(Unreachable):
        ask(adapter)


@pytest.mark.parametrize(("seconds", "lasts"), [(-5, 0.0), (10**9, 86400.0)])
def test_a_token_lasts_no_longer_than_tokens_do(seconds: int, lasts: float) -> None:
    """One that claims to be good for years would never be asked for anew."""
    adapter, _ = entra(httpx.Response(200, json={"access_token": "opaque", "expires_in": seconds}))

    assert lasts == ask(adapter).expires_in


@pytest.mark.parametrize("codes", [5, "7000215", {"a": 1}, [True, "x", None]])
def test_codes_of_another_kind_are_no_codes(codes: object) -> None:
    """OAuth's own word decides then, and no text of Microsoft's gets into a record by way of an id."""
    said = {"error": "invalid_client", "error_codes": codes, "trace_id": "a text that names ann@contoso.example"}
    adapter, _ = entra(httpx.Response(401, json=said))

    with pytest.raises(CredentialFault) as caught:
        ask(adapter)
    assert "" == caught.value.microsoft.trace_id


def test_the_secret_goes_to_no_address_that_discovery_makes_up() -> None:
    """Only Microsoft's own sign-in hosts are ever called."""
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.host)
        return httpx.Response(200, json={**DISCOVERY, "token_endpoint": "https://evil.example/token"})

    with pytest.raises(Unreachable, match="elsewhere"):
        ask(MsalEntra(httpx.Client(transport=httpx.MockTransport(answer))))
    assert {HOST} == set(asked)


def test_what_msal_cannot_read_is_not_logged_by_it(caplog: pytest.LogCaptureFixture) -> None:
    """Such an answer would be logged by msal as a whole, token and all."""
    content = b"\xef\xbb\xbf" + json.dumps({"access_token": "opaque", "expires_in": 3599}).encode()
    adapter, _ = entra(httpx.Response(200, content=content))

    assert "opaque" == ask(adapter).value
    assert "opaque" not in caplog.text
