"""What stands in an event, and that it is the same each time."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.connections import Connection, Direction
from shared.content_links import ContentLink, expiry_of, make_link, read_link, well_formed
from shared.events import EventMaker, for_queue, message_view, to_bytes
from shared.identifiers import new_connection_id
from shared.mail.parsed import Address, Attachment, Mail
from shared.mail.parsing import parse
from shared.receipts import Receipt, ReceiptStatus, public_id

KEY = b"k" * 32
BASE = "https://mail.contoso.example"
CONNECTION = Connection(
    new_connection_id("0" * 16), Direction.INCOMING, "n", "grant_x", "t", "user-1", "box@contoso.example", "2026-11-22"
)
RECEIPT = Receipt(
    "a" * 32,
    "graph id",
    ReceiptStatus.STORED,
    "2026-11-22T07:00:00.000Z",
    mailbox="box@contoso.example",
    received_at="2026-11-22T06:59:00Z",
    sha256="5" * 64,
    size=7,
)
FILE = Attachment("a.pdf", "application/pdf", 3, "6" * 64, "cid", False)
MAIL = Mail(subject="Hello", sender=(Address("Ann", "ann@contoso.example"),), text="Hi", attachments=(FILE,))
EVENTS = EventMaker(BASE, lambda: KEY)


def test_an_event_is_a_cloudevent_that_names_mail_and_content() -> None:
    """Every attribute that CloudEvents 1.0 asks for, the parsed mail, and two ways to each content."""
    event = EVENTS.message_received(CONNECTION, RECEIPT, MAIL)
    identifier = public_id(CONNECTION.id, RECEIPT.hash)
    assert {name: event[name] for name in ("specversion", "type", "id", "source", "time", "dataschema")} == {
        "specversion": "1.0",
        "type": "mailgrant.message.received",
        "id": identifier,
        "source": f"{BASE}/api/connections/{CONNECTION.id}",
        "time": "2026-11-22T07:00:00.000Z",
        "dataschema": "urn:mailgrant:schema:message.received:1",
    }
    data = event["data"]
    assert data["mailbox"] == {"id": "user-1", "address": "box@contoso.example"}
    assert (data["message"]["subject"], data["message"]["text"], data["message"]["truncated"]) == ("Hello", "Hi", False)
    assert (data["raw"]["sha256"], data["raw"]["url"]) == ("5" * 64, f"{BASE}/api/inbox/{identifier}/raw")
    (attachment,) = data["attachments"]
    assert (attachment["name"], attachment["size"]) == ("a.pdf", 3)
    assert attachment["url"] == f"{BASE}/api/inbox/{identifier}/attachments/0"
    assert read_link(KEY, attachment["link"].rpartition("/")[2]) == ContentLink(
        identifier, "0", expiry_of(RECEIPT.stored_moment())
    )


def test_the_bytes_depend_on_mail_and_receipt_alone() -> None:
    """Neither attempts nor faults nor a renamed mailbox change them."""
    first = to_bytes(EVENTS.message_received(CONNECTION, RECEIPT, MAIL))
    tried = replace(RECEIPT, attempts=7, status=ReceiptStatus.RETRYING)
    renamed = replace(CONNECTION, address="new@contoso.example", name="new")
    assert to_bytes(EVENTS.message_received(renamed, tried, MAIL)) == first


def test_long_bodies_are_cut_and_marked() -> None:
    """64 KiB of each body, never in the middle of a character."""
    view = message_view(replace(MAIL, text="ä" * 40_000, html="x" * 65_536))
    assert (len(view["text"].encode()), len(view["html"]), view["truncated"]) == (65_536, 65_536, True)
    assert message_view(replace(MAIL, html="x" * 65_536))["truncated"] is False


def test_an_event_for_a_queue_fits_a_queue_message() -> None:
    """Bodies go first, then long lists; what is named stays reachable by its references."""
    small = EVENTS.message_received(CONNECTION, RECEIPT, MAIL)
    assert for_queue(small) == small
    long = EVENTS.message_received(CONNECTION, RECEIPT, replace(MAIL, text="x" * 60_000))
    assert for_queue(long)["data"]["message"]["truncated"] is True
    crowd = tuple(Address("n" * 300, "a" * 300) for _ in range(1000))
    full = replace(MAIL, to=crowd, cc=crowd, attachments=(replace(FILE, name="n" * 255),) * 1000, subject="s" * 5000)
    shortened = for_queue(EVENTS.message_received(CONNECTION, RECEIPT, full))
    assert len(json.dumps(shortened, ensure_ascii=False).encode()) <= 48 * 1024
    assert shortened["data"]["attachments_omitted"] == 980


@given(st.binary(max_size=300))
def test_every_mail_makes_an_event(mime: bytes) -> None:
    """Whatever was received can be announced as UTF-8 JSON."""
    event = EVENTS.message_received(CONNECTION, RECEIPT, parse(b"Subject: " + mime))
    assert json.loads(to_bytes(event))["id"] == event["id"]


LONG = st.sampled_from(["x", "ä", "\x01", '"', "\U0001f4e7"]).flatmap(
    lambda sign: st.sampled_from([0, 1, 60, 700, 5000]).map(lambda count: sign * count)
)


@settings(max_examples=20, deadline=None)
@given(LONG, LONG, st.sampled_from([0, 1, 6, 30]))
def test_whatever_a_mail_holds_its_event_fits_a_queue_message(word: str, body: str, count: int) -> None:
    """48 KiB with every text long, every list full, and each character as long in JSON as it can be."""
    people = (Address(word, word),) * count
    mail = Mail(
        problems=(word,),
        subject=word,
        sender=people,
        to=people,
        cc=people,
        reply_to=people,
        message_id=word,
        in_reply_to=word,
        references=(word,) * count,
        headers=((word, word),) * count,
        text=body * 14,
        html=body * 14,
        calendar=body * 14,
        attachments=(replace(FILE, name=word, content_type=word, content_id=word),) * count,
    )
    event = EVENTS.message_received(CONNECTION, RECEIPT, mail)
    small = for_queue(event)
    kept = len(small["data"]["attachments"])
    assert len(to_bytes(small)) <= 48 * 1024
    assert (event["id"], count) == (small["id"], kept + small["data"]["attachments_omitted"])
    assert small == event or small["data"]["message"]["truncated"] is True
    assert [item["link"] for item in event["data"]["attachments"][:kept]] == [
        item["link"] for item in small["data"]["attachments"]
    ]


def test_links_end_a_week_after_the_day_of_storing() -> None:
    """The same for all that was stored on one day, and never less than seven days."""
    morning, night = datetime(2026, 11, 22, tzinfo=UTC), datetime(2026, 11, 22, 23, 59, 59, tzinfo=UTC)
    assert expiry_of(morning) == expiry_of(night) == int(datetime(2026, 11, 30, tzinfo=UTC).timestamp())
    assert expiry_of(night) >= int((night + timedelta(days=7)).timestamp())


@given(st.text(max_size=200))
def test_no_text_passes_for_a_link(text: str) -> None:
    """What was not signed names nothing."""
    assert read_link(KEY, text) is None


def test_a_link_of_another_key_is_refused() -> None:
    """A link is good for the installation that made it."""
    token = make_link(b"other" * 8, ContentLink(public_id(CONNECTION.id, RECEIPT.hash), "raw", 1))
    assert well_formed(token)
    assert read_link(KEY, token) is None
