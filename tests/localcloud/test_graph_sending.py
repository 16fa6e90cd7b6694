"""What happens to mail that is sent: copies, Sent Items, bounces, and each way in which Exchange may be odd."""

import email
from typing import Any

import pytest

from tests.localcloud.graph_cast import IMMUTABLE, MARKER, GraphScene, draft, encoded, mail, recipient

ADDRESS = "ann@contoso.example"
ANN = f"/users/{ADDRESS}"
PLAIN = {"Content-Type": "text/plain"}


def drafted(scene: GraphScene, *to: str, **more: Any) -> str:
    """Create a draft and return its immutable id."""
    answer = scene.post(f"{ANN}/messages", draft(*(to or ("bob@contoso.example",)), **more), headers=IMMUTABLE)
    assert 201 == answer.status_code, answer.text
    return str(answer.json()["id"])


def send(scene: GraphScene, message: str) -> int:
    """Send a draft and return the status."""
    return scene.post(f"{ANN}/messages/{message}/send").status_code


def test_send_delivers_once_and_moves_to_sent_items() -> None:
    """A sent draft reaches everyone once and lies in Sent Items under the same immutable id."""
    scene = GraphScene()
    message = drafted(scene, "bob@contoso.example", "cleo@fabrikam.example", "out@elsewhere.example")

    assert 202 == send(scene, message)
    assert ["Report"] == scene.inbox("bob@contoso.example") == scene.inbox("cleo@fabrikam.example")
    assert ([], ["Report"]) == (scene.subjects(ADDRESS, "drafts"), scene.subjects(ADDRESS, "sentitems"))
    assert not scene.get(f"{ANN}/messages/{message}", headers=IMMUTABLE)["isDraft"]
    received = scene.control("GET", "/received").json()
    assert [False, False, True] == [copy["external"] for copy in received]
    assert 1 == len(scene.control("GET", "/received/OUT@elsewhere.example").json())


def test_delivered_copy() -> None:
    """A recipient's copy has From, Date, Message-ID and a trace of its own, and never names a Bcc recipient."""
    scene = GraphScene()
    message = drafted(scene, "bob@contoso.example", bccRecipients=[recipient("cleo@fabrikam.example")])
    send(scene, message)
    bob, cleo = scene.mailboxes.find("bob@contoso.example"), scene.mailboxes.find("cleo@fabrikam.example")
    assert bob is not None
    assert cleo is not None
    copies = [next(iter(box.folder("inbox").messages.values())).mime() for box in (bob, cleo)]
    parsed = email.message_from_bytes(copies[0])

    assert all(b"cleo" not in copy.partition(b"\r\n\r\n")[0] for copy in copies[:1])
    assert [None, None] == [email.message_from_bytes(copy)["Bcc"] for copy in copies]
    assert '"Ann Adams" <ann@contoso.example>' == parsed["From"]
    assert all(parsed[name] for name in ("Date", "Message-ID", "Received"))
    assert (
        "cleo@fabrikam.example" == scene.get(f"{ANN}/messages/{message}")["bccRecipients"][0]["emailAddress"]["address"]
    )


def test_marker_survives_by_default() -> None:
    """The extended property and the x- header are found on the sent copy, the header on delivered ones too."""
    scene = GraphScene()
    extended = [{"id": MARKER, "value": "msg_1"}]
    headers = [{"name": "X-Mailgrant-Entry", "value": "msg_1"}]
    message = drafted(scene, singleValueExtendedProperties=extended, internetMessageHeaders=headers)
    send(scene, message)
    shown = scene.get(f"{ANN}/messages/{message}?$expand=singleValueExtendedProperties($filter=id eq '{MARKER}')")

    assert "msg_1" == shown["singleValueExtendedProperties"][0]["value"]
    assert {"X-Mailgrant-Entry": "msg_1"} == scene.control("GET", "/received/bob@contoso.example").json()[0]["headers"]


@pytest.mark.parametrize(
    "mode", ["marker_property_lost", "marker_header_lost", "message_id_rewritten", "id_changes_on_send"]
)
def test_each_key_can_fail_alone(mode: str) -> None:
    """Of the four keys by which a sent copy is found, exactly the one of the mode is lost."""
    scene = GraphScene()
    scene.world.modes[f"{mode}:{ADDRESS}"] = True
    own_id = "<own-1@contoso.example>"
    header = "String {00020386-0000-0000-c000-000000000046} Name X-Mailgrant-Entry"
    message = drafted(scene, internetMessageId=own_id, singleValueExtendedProperties=[{"id": MARKER, "value": "m1"}],
                      internetMessageHeaders=[{"name": "X-Mailgrant-Entry", "value": "m1"}])  # fmt: skip
    send(scene, message)
    any_of = "singleValueExtendedProperties/Any(ep: ep/id eq '{}' and ep/value eq 'm1')"
    conditions = {
        "marker_property_lost": any_of.format(MARKER),
        "marker_header_lost": any_of.format(header),
        "message_id_rewritten": f"internetMessageId eq '{own_id}'",
    }
    found = {
        name: bool(scene.get(f"{ANN}/messages", params={"$filter": text})["value"]) for name, text in conditions.items()
    }
    found["id_changes_on_send"] = 200 == scene.call("GET", f"{ANN}/messages/{message}").status_code

    assert {name: name != mode for name in found} == found
    assert ["Report"] == scene.inbox("bob@contoso.example")


def test_second_send_is_refused() -> None:
    """A message that was sent cannot be sent again."""
    scene = GraphScene()
    message = drafted(scene)

    assert [202, 400] == [send(scene, message), send(scene, message)]
    assert ["Report"] == scene.inbox("bob@contoso.example")


def test_second_send_may_deliver_again() -> None:
    """With the mode on, a second send is not harmless."""
    scene = GraphScene()
    scene.world.modes["second_send_delivers_again"] = True
    message = drafted(scene)

    assert [202, 202] == [send(scene, message), send(scene, message)]
    assert ["Report", "Report"] == scene.inbox("bob@contoso.example")


def test_sent_copy_comes_late() -> None:
    """Between the draft's leaving and the copy's coming there is nothing to be found."""
    scene = GraphScene()
    scene.world.modes["sent_copy_delay_seconds"] = 30
    message = drafted(scene)
    send(scene, message)
    before = scene.call("GET", f"{ANN}/messages/{message}").status_code
    scene.now += 30

    assert (404, 200) == (before, scene.call("GET", f"{ANN}/messages/{message}").status_code)
    assert ["Report"] == scene.subjects(ADDRESS, "sentitems")


def test_sent_copy_never_comes() -> None:
    """Without a sent copy, the mail is delivered and nothing is left."""
    scene = GraphScene()
    scene.world.modes["sent_copy_never"] = True
    message = drafted(scene)
    send(scene, message)

    assert ["Report"] == scene.inbox("bob@contoso.example")
    assert 404 == scene.call("GET", f"{ANN}/messages/{message}").status_code


def test_draft_lingers() -> None:
    """After acceptance the draft may still look like a draft for a while."""
    scene = GraphScene()
    scene.world.modes["draft_lingers_seconds"] = 20
    message = drafted(scene)
    send(scene, message)
    lingering = scene.get(f"{ANN}/messages/{message}")["isDraft"]
    scene.now += 20

    assert (True, False) == (lingering, scene.get(f"{ANN}/messages/{message}")["isDraft"])
    assert ["Report"] == scene.subjects(ADDRESS, "sentitems")
    assert ["Report"] == scene.inbox("bob@contoso.example")


def test_unknown_recipient_bounces() -> None:
    """An address that nobody has in a tenant's domain brings a report into the sender's inbox."""
    scene = GraphScene()
    message = drafted(
        scene, "nobody@contoso.example", "bob@contoso.example", internetMessageId="<own-2@contoso.example>"
    )
    send(scene, message)
    (report,) = scene.get(f"{ANN}/mailFolders/inbox/messages")["value"]
    parsed = email.message_from_bytes(scene.call("GET", f"{ANN}/messages/{report['id']}/$value").content)

    assert "multipart/report" == parsed.get_content_type()
    assert "<own-2@contoso.example>" == parsed["In-Reply-To"]
    assert b"Final-Recipient: rfc822;nobody@contoso.example" in parsed.as_bytes()
    assert ["Report"] == scene.inbox("bob@contoso.example")
    assert [] == scene.control("GET", "/received/nobody@contoso.example").json()


def test_bounces_can_be_switched_off() -> None:
    """Without reports, mail to nobody vanishes."""
    scene = GraphScene()
    scene.world.modes["ndr"] = False
    send(scene, drafted(scene, "nobody@contoso.example"))

    assert [] == scene.inbox(ADDRESS)


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"toRecipients": []}, 400, "ErrorInvalidRecipients"),
        ({"toRecipients": [recipient("no-at-sign")]}, 400, "ErrorInvalidRecipients"),
        ({"from": recipient("bob@contoso.example")}, 403, "ErrorSendAsDenied"),
    ],
)
def test_refusals_change_nothing(change: dict[str, Any], status: int, code: str) -> None:
    """A refused send leaves the draft where it is and delivers nothing."""
    scene = GraphScene()
    message = drafted(scene, **change)
    answer = scene.post(f"{ANN}/messages/{message}/send")

    assert (status, code) == (answer.status_code, answer.json()["error"]["code"])
    assert ["Report"] == scene.subjects(ADDRESS, "drafts")
    assert [] == scene.control("GET", "/received").json()


def test_send_limit_of_the_mailbox() -> None:
    """A message over the mailbox's own limit is refused."""
    scene = GraphScene()
    scene.world.modes[f"send_limit_mb:{ADDRESS}"] = 0.001
    answer = scene.post(f"{ANN}/messages/{drafted(scene, body={'contentType': 'text', 'content': 'x' * 2000})}/send")

    assert "ErrorMessageSizeExceeded" == answer.json()["error"]["code"]


def test_received_mail_cannot_be_sent() -> None:
    """Only drafts can be sent, and what is not there is not found."""
    scene = GraphScene()

    assert 400 == send(scene, scene.arrive(ADDRESS))
    assert 404 == send(scene, "AAkALgunknown")


def test_sendmail_json() -> None:
    """SendMail sends at once; saveToSentItems false leaves no copy, also as a string."""
    scene = GraphScene()
    kept = scene.post(f"{ANN}/sendMail", {"message": draft("bob@contoso.example", subject="Kept")})
    gone = scene.post(
        f"{ANN}/sendMail", {"message": draft("bob@contoso.example", subject="Gone"), "saveToSentItems": "false"}
    )

    assert [(202, b""), (202, b"")] == [(answer.status_code, answer.content) for answer in (kept, gone)]
    assert ["Kept", "Gone"] == scene.inbox("bob@contoso.example")
    assert ["Kept"] == scene.subjects(ADDRESS, "sentitems")
    assert 400 == scene.post(f"{ANN}/sendMail", {"message": draft()}).status_code
    assert [] == scene.subjects(ADDRESS, "drafts")


def test_sendmail_mime() -> None:
    """SendMail takes base64 MIME, whose content arrives unchanged."""
    scene = GraphScene()
    raw = b"To: bob@contoso.example\r\nSubject: Raw\r\nX-Custom: 1\r\n\r\nBody\r\n"

    assert 202 == scene.call("POST", f"{ANN}/sendMail", content=encoded(raw), headers=PLAIN).status_code
    (copy,) = scene.control("GET", "/received/bob@contoso.example").json()
    assert ("Raw", {"X-Custom": "1"}, ADDRESS) == (copy["subject"], copy["headers"], copy["from"])


def test_reply_and_forward() -> None:
    """A reply goes to the author in the same thread; a forward carries the files along."""
    scene = GraphScene()
    message = scene.arrive(ADDRESS, "Question", sender="bob@contoso.example")
    replied = scene.post(f"{ANN}/messages/{message}/reply", {"comment": "Yes."})
    forwarded = scene.post(f"{ANN}/messages/{message}/forward", {"toRecipients": [recipient("bob@contoso.example")]})
    both = scene.post(f"{ANN}/messages/{message}/reply", {"comment": "a", "message": {"body": {"content": "b"}}})

    assert (202, 202, 400) == (replied.status_code, forwarded.status_code, both.status_code)
    assert ["RE: Question", "FW: Question"] == scene.inbox("bob@contoso.example")
    answer = scene.post(f"{ANN}/messages/{message}/createReply", {}).json()
    raw = scene.call("GET", f"{ANN}/messages/{answer['id']}/$value").content
    assert b"In-Reply-To: <Question@elsewhere.example>" in raw
    assert scene.get(f"{ANN}/messages/{message}")["conversationId"] == answer["conversationId"]
    assert 400 == scene.post(f"{ANN}/messages/{message}/forward", {}).status_code
    # A draft gets its recipients later; SDKs write parameters with capitals.
    assert [] == scene.post(f"{ANN}/messages/{message}/createForward").json()["toRecipients"]
    body = {"ToRecipients": [recipient("bob@contoso.example")], "Comment": "See"}
    assert 202 == scene.post(f"{ANN}/messages/{message}/forward", body).status_code


def test_mime_draft_is_sent_as_it_was_posted() -> None:
    """A complete MIME draft leaves with its own Message-ID, its bytes unchanged in Sent Items."""
    scene = GraphScene()
    raw = mail("Exact", sender=ADDRESS)
    message = scene.call("POST", f"{ANN}/messages", content=encoded(raw), headers={**PLAIN, **IMMUTABLE}).json()["id"]
    send(scene, message)

    assert raw == scene.call("GET", f"{ANN}/messages/{message}/$value").content
    assert "<Exact@elsewhere.example>" == scene.get(f"{ANN}/messages/{message}")["internetMessageId"]
