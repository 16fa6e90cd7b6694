"""The whole surface as one table: every function, who may call it, and that each refuses everybody else."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import azure.functions as func
import pytest

from functions.app import build
from shared.composition import compose
from shared.connections import Direction
from shared.front_proof import FrontProof
from shared.principals import HEADER, Role, header_of
from shared.receipts import Receipt, ReceiptStatus, hash_of, insertion, public_id
from shared.received import Received
from shared.send.accept import Accept
from shared.send.entries import Entries
from shared.send.uploads import Uploads
from shared.send.waking import DueRows, SharedWakeups
from shared.settings import Settings
from shared.times import to_text
from tests.fakes import MemoryBlobStore, MemoryTables, MemoryWakeups, MovableClock
from tests.fakes.front import MemoryFront
from tests.fakes.links import MemoryLinks
from tests.scenes.administration import ANN, BOX, Administration
from tests.scenes.calls import ADMIN, Caller

# name, methods, route, who may call
HTTP = """
health                   GET,HEAD   health                                      public
openapi                  GET        openapi.json                                public
reference                GET        reference                                   public
reference_style          GET        reference/style.css                         public
health_details           GET        health/details                              admin
system                   GET        system                                      admin
tick_now                 POST       tick                                        admin
audit_list               GET        audit                                       admin
credentials_create       POST       credentials                                 admin
credentials_list         GET        credentials                                 admin
credentials_get          GET        credentials/{id}                            admin
credentials_change       PATCH      credentials/{id}                            admin
credentials_delete       DELETE     credentials/{id}                            admin
credentials_rotate       POST       credentials/{id}/secret                     admin
credentials_verify       POST       credentials/{id}/verify                     admin
consent_links_create     POST       credentials/{id}/consent-links              admin
consent_links_list       GET        credentials/{id}/consent-links              admin
consent_links_withdraw   DELETE     credentials/{id}/consent-links/{link_id}    admin
consent_start            GET,HEAD   consent/start/{ticket}                      public
consent_go               POST       consent/start/{ticket}                      public
consent_callback         GET        consent/callback                            public
consent_result           GET,HEAD   consent/result/{id}                         public
consent_style            GET        consent/style.css                           public
console                  GET,HEAD   console                                     public
console_file             GET,HEAD   console/{version}/{*path}                   public
grants_list              GET        grants                                      admin
grants_get               GET        grants/{id}                                 admin
grants_delete            DELETE     grants/{id}                                 admin
grants_purge             GET        grants/{id}/purge                           admin
grants_verify            POST       grants/{id}/verify                          admin
grants_confirm           POST       grants/{id}/confirm                         admin
connections_list         GET        connections                                 admin
connections_get          GET        connections/{id}                            admin
connections_create       POST       connections                                 admin
connections_bulk         POST       connections/bulk                            admin
connections_change       PATCH      connections/{id}                            admin
connections_delete       DELETE     connections/{id}                            admin
connections_test         POST       connections/{id}/test                       admin
connections_fetch        POST       connections/{id}/fetch                      admin
log_list                 GET        connections/{id}/log                        admin
destination_test         POST       connections/{id}/destination/test           admin
signing_secret_rotate    POST       connections/{id}/signing-secret/rotate      admin
connections_redeliver    POST       connections/{id}/redeliver                  admin
tokens_create            POST       connections/{id}/tokens                     admin
tokens_list              GET        connections/{id}/tokens                     admin
tokens_delete            DELETE     connections/{id}/tokens/{token_id}          admin
mailboxes_list           GET        mailboxes                                   admin
folders_list             GET        folders                                     admin
messages_send            POST       messages                                    token
messages_get             GET        messages/{id}                               token
uploads_create           POST       uploads                                     token
uploads_part             PUT        uploads/{id}/parts/{n}                      token
hooks_call               POST       hooks/{token}                               public
hooks_create             POST       connections/{id}/hooks                      admin
hooks_list               GET        connections/{id}/hooks                      admin
hooks_delete             DELETE     connections/{id}/hooks/{hook_id}            admin
templates_list           GET        connections/{id}/templates                  admin
templates_put            PUT        connections/{id}/templates/{name}           admin
templates_get            GET        connections/{id}/templates/{name}           admin
templates_delete         DELETE     connections/{id}/templates/{name}           admin
templates_preview        POST       connections/{id}/templates/{name}/preview   admin
outbox_list              GET        connections/{id}/outbox                     admin
outbox_get               GET        outbox/{id}                                 admin
outbox_cancel            POST       outbox/{id}/cancel                          admin
outbox_resend            POST       outbox/{id}/resend                          admin
received_list            GET        connections/{id}/received                   admin
received_get             GET        received/{id}                               admin
received_erase           DELETE     received/{id}                               admin
received_attempts        GET        received/{id}/attempts                      admin
received_retry           POST       received/{id}/retry                         admin
received_redeliver       POST       received/{id}/redeliver                     admin
received_page            POST       received/{id}/page                          admin
received_raw             GET        received/{id}/raw                           admin
received_attachment      GET        received/{id}/attachments/{n}               admin
inbox_list               GET        inbox                                       token
inbox_get                GET        inbox/{id}                                  token
inbox_raw                GET        inbox/{id}/raw                              token
inbox_attachment         GET        inbox/{id}/attachments/{n}                  token
content_get              GET        content/{token}                             public
content_page             GET        content/{token}/page                        public
"""
# name, trigger, queue or schedule
WORK = """
tick                   timerTrigger   0 * * * * *
fetch_run              queueTrigger   mail-fetch
deliver_run            queueTrigger   mail-deliver
send_drain             queueTrigger   mail-send
consent_check          queueTrigger   consent-check
poison_mail_fetch      queueTrigger   mail-fetch-poison
poison_mail_deliver    queueTrigger   mail-deliver-poison
poison_mail_send       queueTrigger   mail-send-poison
poison_consent_check   queueTrigger   consent-check-poison
"""
MIME = b'Content-Type: text/plain; name="a.txt"\r\nContent-Disposition: attachment\r\n\r\nx\r\n'
WRITES = ("POST", "PUT", "PATCH", "DELETE")
MADE_UP = Settings.from_environment(
    {
        "AzureWebJobsStorage": "UseDevelopmentStorage=true",
        "MAIL_STORAGE": "UseDevelopmentStorage=true",
        "KEY_VAULT_URL": "https://vault.example",
        "PUBLIC_BASE_URL": "https://mail.example",
    }
)


@dataclass(frozen=True)
class Line:
    """One line of the table; *path* is the route with made-up values."""

    name: str
    method: str
    route: str
    caller: str

    @property
    def path(self) -> str:
        """Return an address of the route."""
        return "/".join("x1" if part.startswith("{") else part for part in self.route.split("/"))

    def __str__(self) -> str:
        """Return what a test report calls the line."""
        return self.name


def lines() -> Iterator[Line]:
    """Return a line for each method of each HTTP function."""
    for text in HTTP.strip().splitlines():
        name, methods, route, caller = text.split()
        for method in methods.split(","):
            yield Line(name, method, route, caller)


TABLE = list(lines())
ADMIN_WRITES = [line for line in TABLE if line.caller == "admin" and line.method in WRITES]
TOKEN_LINES = [line for line in TABLE if line.caller == "token"]


@pytest.fixture(scope="module")
def app() -> func.FunctionApp:
    """Return the whole app on real adapters, which lead nowhere: whatever calls out fails, for sockets are blocked."""
    return build(compose(MADE_UP))


@pytest.fixture(scope="module")
def caller(app: func.FunctionApp) -> Caller:
    """Return a caller of the whole app."""
    return Caller.of(app)


@pytest.fixture(scope="module")
def broken() -> Caller:
    """Return a caller of an app whose use cases fail in ways that nobody foresaw."""
    names = ("consent", "connection_tokens", "received", "grants", "purge", "credentials", "health", "entries")
    return Caller.of(build(replace(compose(MADE_UP), **dict.fromkeys(names))))  # type: ignore[arg-type]


class Tokens:
    """
    The token routes on memory: two connections that send and two that receive.

    The first that sends has a message and an upload, the first that receives has a mail with an attachment.
    """

    def __init__(self) -> None:
        admin = Administration()
        grant = admin.consented()
        senders, readers = (
            [admin.connection(grant, direction=direction, mailbox=person.address) for person in (BOX, ANN)]
            for direction in (Direction.OUTGOING, Direction.INCOMING)
        )
        self.mine, self.other = (self.token(admin, connection.id, "send") for connection in senders)
        self.reader, self.other_reader = (self.token(admin, connection.id, "receive") for connection in readers)
        blobs = MemoryBlobStore(admin.clock)
        uploads = Uploads(admin.tables.outbox, MemoryLinks(blobs.uploads), admin.clock)
        due_rows = DueRows(admin.tables.connections)
        services = replace(
            compose(MADE_UP),
            connection_tokens=admin.connection_tokens,
            accept=Accept(admin.tables.outbox, blobs, SharedWakeups(admin.wakeups), due_rows, uploads, admin.clock),
            entries=Entries(admin.tables.outbox, admin.clock),
            uploads=uploads,
            received=Received(admin.tables, blobs.received, admin.wakeups, bytes, MADE_UP.public_base_url, admin.clock),
        )
        self.caller = Caller.of(build(services))
        mail = {"to": ["ann@example.com"], "subject": "x", "text": "x"}
        self.message = self.made("messages", mail)["id"]
        self.upload = self.made("uploads", {"name": "a.bin", "size": 3})["upload_id"]
        receipt = Receipt(hash_of("a"), "a", ReceiptStatus.STORED, to_text(admin.clock()), blob="a", size=len(MIME))
        blobs.received.put("a", MIME)
        admin.tables.receipts.commit(readers[0].id, insertion(receipt, []))
        self.received = public_id(readers[0].id, receipt.hash)

    @staticmethod
    def token(admin: Administration, connection_id: str, scope: str) -> str:
        """Make a token."""
        return str(admin.connection_tokens.create(connection_id, scope)[1])

    def made(self, path: str, body: Any) -> Any:
        """Make something with the first connection's token."""
        answer = self.caller.call("POST", path, body, {"Authorization": f"Bearer {self.mine}"})
        assert answer.status_code in (201, 202), answer.get_body()
        return _json(answer)

    def path(self, line: Line) -> str:
        """Return an address of what the first connection has."""
        made = {"messages": self.message, "uploads": self.upload, "inbox": self.received}[line.route.split("/")[0]]
        return line.route.replace("{id}", made).replace("{n}", "0" if _is_inbox(line) else "1")

    def call(self, line: Line, token: str) -> func.HttpResponse:
        """Ask for what the first connection has."""
        return self.caller.call(line.method, self.path(line), b"abc", {"X-Mailgrant-Token": token})


@pytest.fixture(scope="module")
def tokens() -> Tokens:
    """Return the token routes."""
    return Tokens()


def _is_inbox(line: Line) -> bool:
    return line.route.startswith("inbox")


def _json(answer: func.HttpResponse) -> Any:
    return json.loads(answer.get_body())


def _trigger(function: Any) -> dict[str, Any]:
    found: dict[str, Any] = function.get_trigger().get_dict_repr()
    return found


def _value(item: Any) -> str:
    return str(getattr(item, "value", item))


def test_the_http_surface_is_the_table(caller: Caller) -> None:
    """Name, methods, route and level of every HTTP function; code cannot check a function key, so admin is FUNCTION."""
    found = set()
    for name, function in caller.functions.items():
        trigger = _trigger(function)
        if trigger["type"] == "httpTrigger":
            for method in trigger["methods"]:
                found.add((name, _value(method), trigger["route"], _value(trigger["authLevel"])))

    assert {
        (line.name, line.method, line.route, "function" if line.caller == "admin" else "anonymous") for line in TABLE
    } == found


def test_the_background_is_the_table(caller: Caller) -> None:
    """One timer, one worker for each queue, and one for what became poison there; all queues are the product's own."""
    found = {}
    for name, function in caller.functions.items():
        trigger = _trigger(function)
        if trigger["type"] != "httpTrigger":
            found[name] = (trigger["type"], trigger.get("queueName") or trigger.get("schedule"))
            assert trigger["type"] == "timerTrigger" or trigger["connection"] == "MAIL_STORAGE"

    assert {
        name: (kind, where) for name, kind, where in (text.split(maxsplit=2) for text in WORK.strip().splitlines())
    } == found


def test_the_host_takes_every_name_and_route(caller: Caller) -> None:
    """The Functions host refuses what begins with admin or runtime (azure-functions-host #1781)."""
    routes = [str(_trigger(function).get("route", "")) for function in caller.functions.values()]

    assert [] == [name for name in [*caller.functions, *routes] if name.lower().startswith(("admin", "runtime"))]


TENANT = "8a7c0c3e-0000-4000-8000-000000000001"
ADMIN_LINES = [line for line in TABLE if line.caller == "admin"]
MAIL_ITSELF = {"received_get", "received_raw", "received_attachment"}


def easy_auth_caller(front: MemoryFront) -> Caller:
    """Return a caller of an app behind *front*, on storage that does not answer."""
    settings = replace(MADE_UP, admin_auth="easyauth", admin_tenant=TENANT)
    clock = MovableClock()
    tables = MemoryTables(clock)
    proof = FrontProof(front, TENANT, tables, MemoryWakeups(clock), clock)
    return Caller.of(build(replace(compose(MADE_UP), settings=settings, front_proof=proof)))


@pytest.fixture(scope="module")
def signing() -> Caller:
    """Return a caller of an app behind a front that takes forged headers away."""
    return easy_auth_caller(MemoryFront())


def signed_in(*roles: str) -> dict[str, str]:
    """Return an administrator's headers with what Easy Auth adds for a person with *roles*."""
    claims = [("tid", TENANT), ("oid", "ada"), *(("roles", role) for role in roles)]
    return {**ADMIN, HEADER: header_of([{"typ": kind, "val": value} for kind, value in claims])}


def test_under_easy_auth_the_host_asks_for_no_key(caller: Caller, signing: Caller) -> None:
    """The same functions on the same routes, all open at the host."""
    shapes = [
        {
            name: (_trigger(it).get("route"), [_value(method) for method in _trigger(it).get("methods", ())])
            for name, it in one.functions.items()
        }
        for one in (caller, signing)
    ]

    assert shapes[0] == shapes[1]
    assert {"anonymous"} == {
        _value(_trigger(it)["authLevel"]) for it in signing.functions.values() if _trigger(it)["type"] == "httpTrigger"
    }


@pytest.mark.parametrize("line", ADMIN_LINES, ids=str)
def test_under_easy_auth_an_admin_route_asks_who_it_is(signing: Caller, line: Line) -> None:
    """Nobody, and a function key, are refused; a viewer reads, though no mail; neither refusal looks any further."""
    nobody = signing.call(line.method, line.path, {}, {**ADMIN, "x-functions-key": "key"})
    roleless = signing.call(line.method, line.path, {}, signed_in("Other"))
    viewer = signing.call(line.method, line.path, {"surprise": 1}, signed_in(Role.VIEWER))
    forbidden = line.method in WRITES or line.name in MAIL_ITSELF

    assert (401, "sign_in_required") == (nobody.status_code, _json(nobody)["code"])
    assert (403, "not_admitted") == (roleless.status_code, _json(roleless)["code"])
    assert forbidden == (viewer.status_code == 403)
    assert all(answer.headers["X-Request-Id"].startswith("req_") for answer in (nobody, roleless, viewer))


@pytest.mark.parametrize(("given", "role"), [(Role.ADMIN, "admin"), (Role.VIEWER, "viewer")])
def test_whoever_signed_in_is_told_their_role(signing: Caller, given: Role, role: str) -> None:
    """So that the console offers a viewer nothing that would be refused; nobody else inherits it."""
    told = _json(signing.call("GET", "system", None, signed_in(given)))["role"]

    assert role == told
    assert "admin" == _json(signing.call("GET", "system", None, signed_in(Role.ADMIN)))["role"]


@pytest.mark.parametrize("line", ADMIN_LINES, ids=str)
def test_unproven_easy_auth_closes_every_admin_route(line: Line) -> None:
    """An administrator's header counts for nothing where a forged one arrives as well."""
    answer = _UNPROVEN.call(line.method, line.path, {}, signed_in(Role.ADMIN))

    assert (503, "easy_auth_not_proven") == (answer.status_code, _json(answer)["code"])


_UNPROVEN = easy_auth_caller(MemoryFront(arrives=True))


@pytest.mark.parametrize("line", ADMIN_WRITES, ids=str)
def test_an_administrator_who_signed_in_is_let_in(signing: Caller, line: Line) -> None:
    """Up to the next check, which is the mark that foreign pages cannot send."""
    answer = signing.call(line.method, line.path, {}, {**signed_in(Role.ADMIN), "X-Mailgrant-Request": ""})

    assert (403, "request_not_marked") == (answer.status_code, _json(answer)["code"])


FOREIGN = (
    ({"X-Mailgrant-Request": ""}, 403, "request_not_marked"),
    ({"X-Mailgrant-Request": "true"}, 403, "request_not_marked"),
    ({"Host": "evil.example"}, 403, "foreign_host"),
    ({"Host": "mail.example.evil.example"}, 403, "foreign_host"),
    ({"Host": "mail.example:8443"}, 403, "foreign_host"),
    ({"Host": "["}, 403, "foreign_host"),
    ({"Host": ""}, 403, "foreign_host"),
    ({"Content-Type": "text/plain"}, 415, "unsupported_media_type"),
    ({"Content-Type": "application/x-www-form-urlencoded"}, 415, "unsupported_media_type"),
    ({"Content-Type": ""}, 415, "unsupported_media_type"),
)


@pytest.mark.parametrize("line", ADMIN_WRITES, ids=str)
def test_an_administrators_write_refuses_what_a_foreign_page_can_send(caller: Caller, line: Line) -> None:
    """Before anything else is looked at; DELETE has no body, so its type is not asked for."""
    for headers, status, code in FOREIGN:
        if line.method == "DELETE" and "Content-Type" in headers:
            continue
        answer = caller.call(line.method, line.path, {}, {**ADMIN, **headers})
        assert (status, "application/problem+json") == (answer.status_code, answer.mimetype), headers
        assert code == _json(answer)["code"], headers
        assert answer.headers["X-Request-Id"] == _json(answer)["request_id"]


@pytest.mark.parametrize("host", ["mail.example", "127.0.0.1:7071", "localhost:7071", "[::1]:7071"])
def test_own_host_and_loopback_are_let_in(caller: Caller, host: str) -> None:
    """The mark, the type and the host together pass: then the body is looked at."""
    answer = caller.call("POST", "credentials", {}, {**ADMIN, "Host": host})

    assert (422, "invalid_request") == (answer.status_code, _json(answer)["code"])


BODIES = [line for line in ADMIN_WRITES if line.name.endswith(("_create", "_change", "_rotate"))]


@pytest.mark.parametrize("line", BODIES, ids=str)
def test_a_body_is_json_of_the_right_form(caller: Caller, line: Line) -> None:
    """No JSON is 400, another type than an object and unknown fields are 422, too many bytes 413: problems all."""
    bodies = {b"{": 400, b"": 400, b'{"x": NaN}': 400, b'{"x": 1e999}': 400, b"[]": 422, b'{"surprise": 1}': 422}
    bodies |= {b'{"a":' + b"[" * 300 + b"]" * 300 + b"}": 422, b"[" * 200_000: 400, b" " * (8 * 1024 * 1024 + 1): 413}
    for body, status in bodies.items():
        answer = caller.call(line.method, line.path, body)
        assert (status, "application/problem+json") == (answer.status_code, answer.mimetype), body[:20]
        assert answer.headers["X-Request-Id"] == _json(answer)["request_id"]


@pytest.mark.parametrize("line", TABLE, ids=lambda line: f"{line.method} {line.route}")
def test_every_answer_bears_its_id(broken: Caller, line: Line) -> None:
    """Every route answers in its own form with an id, whatever fails below it, and does not tell what that was."""
    answer = broken.call(line.method, line.path, {}, {**ADMIN, "Authorization": "Bearer x"})

    assert answer.headers["X-Request-Id"].startswith("req_")
    assert b"NoneType" not in answer.get_body()


@pytest.mark.parametrize("line", TOKEN_LINES, ids=str)
def test_a_token_route_refuses_whoever_has_no_token(caller: Caller, line: Line) -> None:
    """Neither none, nor rubbish, nor an administrator's key opens it; nothing is read from storage for that."""
    none = caller.call(line.method, line.path, {}, {"x-functions-key": "key"})
    rubbish = caller.call(line.method, line.path, {}, {"Authorization": "Bearer mg_send_x_y_z"})

    assert (401, "token_missing", "Bearer") == (
        none.status_code,
        _json(none)["code"],
        none.headers["WWW-Authenticate"],
    )
    assert (401, "token_refused") == (rubbish.status_code, _json(rubbish)["code"])


@pytest.mark.parametrize("line", TOKEN_LINES, ids=str)
def test_a_token_of_the_other_scope_finds_nothing(tokens: Tokens, line: Line) -> None:
    """Not even that the route would know it."""
    answer = tokens.call(line, tokens.mine if _is_inbox(line) else tokens.reader)

    assert (404, "not_found") == (answer.status_code, _json(answer)["code"])


@pytest.mark.parametrize("line", [line for line in TOKEN_LINES if "{id}" in line.route], ids=str)
def test_a_token_of_another_connection_finds_nothing(tokens: Tokens, line: Line) -> None:
    """What one connection has is not there for another; its own token finds it."""
    foreign = tokens.call(line, tokens.other_reader if _is_inbox(line) else tokens.other)
    own = tokens.call(line, tokens.reader if _is_inbox(line) else tokens.mine)

    assert (404, "not_found") == (foreign.status_code, _json(foreign)["code"])
    assert own.status_code in (200, 204)


def test_what_a_token_makes_belongs_to_its_connection(tokens: Tokens) -> None:
    """No field of a request names another connection."""
    body = {"to": ["ann@example.com"], "text": "x", "connection_id": "conn_x"}
    answer = tokens.caller.call("POST", "messages", body, {"X-Mailgrant-Token": tokens.other})
    upload = {"to": ["ann@example.com"], "text": "x", "attachments": [{"upload_id": tokens.upload}]}
    foreign = tokens.caller.call("POST", "messages", upload, {"X-Mailgrant-Token": tokens.other})

    assert (422, "/connection_id") == (answer.status_code, _json(answer)["errors"][0]["pointer"])
    assert (422, "unknown_upload") == (foreign.status_code, _json(foreign)["errors"][0]["code"])
