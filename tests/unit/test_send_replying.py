"""Answers to received mail: to whom, under which subject, in which conversation; and only of the same mailbox."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.compose.message import Address, Outgoing
from shared.connections import Direction
from shared.errors import InvalidRequest
from shared.identifiers import new_connection_id
from shared.receipts import Receipt, ReceiptStatus, hash_of, insertion, public_id
from shared.send.accept import Submission
from shared.send.replying import Replying
from shared.times import to_text
from tests.scenes.sending import Sending

HEAD = (
    "From: Ann <ann@example.com>\r\nReply-To: Desk <desk@example.com>, bad\r\nSubject: Order 7\r\n"
    "Message-ID: <b@example.com>\r\nReferences: <a@example.com> nonsense\r\n\r\nx\r\n"
)
ANSWER = Outgoing(text="Thanks")


class Mailbox:
    """An outgoing connection, and received mail of the same mailbox."""

    def __init__(self, mime: str = HEAD, box: str = "") -> None:
        self.scene = Sending()
        incoming = self.scene.make(Direction.INCOMING, **({"id": new_connection_id(box)} if box else {}))
        blobs = self.scene.blobs.received
        blobs.put("a", mime.encode("utf-8", "surrogateescape"))
        receipt = Receipt(
            hash_of("a"), "a", ReceiptStatus.STORED, to_text(self.scene.clock()), blob="a", size=len(mime)
        )
        self.scene.tables.receipts.commit(incoming.id, insertion(receipt, []))
        self.received = public_id(incoming.id, receipt.hash)
        self.replying = Replying(self.scene.tables, blobs)

    def answer(self, mail: Outgoing = ANSWER) -> Outgoing:
        """Return the answer, completed."""
        submission = Submission(replace(mail, in_reply_to=self.received))
        return self.replying.completed(self.scene.connection, submission).mail


def test_an_answer_is_completed() -> None:
    """To Reply-To, with Re:, In-Reply-To and References."""
    mail = Mailbox().answer()

    assert (Address("desk@example.com", "Desk"),) == mail.to
    assert "Re: Order 7" == mail.subject
    assert ("<b@example.com>", ("<a@example.com>", "<b@example.com>")) == (mail.in_reply_to, mail.references)


def test_what_the_caller_says_counts() -> None:
    """Nothing given is replaced."""
    given_mail = replace(ANSWER, to=(Address("bob@example.com"),), subject="Mine", references=("<x@y.example>",))
    mail = Mailbox().answer(given_mail)

    assert (given_mail.to, "Mine", ("<x@y.example>",)) == (mail.to, mail.subject, mail.references)
    assert "<b@example.com>" == mail.in_reply_to


@pytest.mark.parametrize("subject", ["Re: x", "RE : x", "AW: x", "re[2]: x", "SV: x"])
def test_no_second_re(subject: str) -> None:
    """An answer to an answer keeps its subject."""
    assert subject == Mailbox(HEAD.replace("Order 7", subject)).answer().subject


def test_an_answer_to_who_wrote_where_nothing_else_is_asked() -> None:
    """Without Reply-To it goes to From, without Message-ID it begins no thread."""
    mime = "From: Ann <ann@example.com>\r\nSubject:\r\n\r\nx\r\n"
    mail = Mailbox(mime).answer()

    assert ((Address("ann@example.com", "Ann"),), "Re:", "", ()) == (
        mail.to,
        mail.subject,
        mail.in_reply_to,
        mail.references,
    )


def test_mail_of_another_mailbox_is_not_found() -> None:
    """Nor is mail that is not there, or whose content is gone."""
    with pytest.raises(InvalidRequest):
        Mailbox(box="f" * 16).answer()
    gone = Mailbox()
    gone.scene.blobs.received.delete("a")
    with pytest.raises(InvalidRequest):
        gone.answer()
    missing = Mailbox()
    missing.received = public_id(missing.scene.connection.id, hash_of("other"))
    with pytest.raises(InvalidRequest):
        missing.answer()


def test_an_answer_to_nobody_is_refused() -> None:
    """Where the mail names no usable address, the caller has to."""
    with pytest.raises(InvalidRequest):
        Mailbox("From: nobody\r\n\r\nx\r\n").answer()


@given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=60))
def test_nothing_of_a_hostile_mail_breaks_the_answer(name: str, subject: str, reference: str) -> None:
    """Whatever stands in its headers, the answer can be composed and has the one recipient."""
    mime = f"From: {name} <ann@example.com>\r\nSubject: {subject}\r\nReferences: {reference}\r\n\r\nx\r\n"
    box = Mailbox(mime)
    try:
        mail = box.answer()
    except InvalidRequest:
        return
    entry_id = box.scene.accept(mail)
    box.scene.work()
    assert 1 == box.scene.exchange.copies[entry_id]
    assert {"ann@example.com"} >= {person.address for person in mail.to if person.address == "ann@example.com"}
    assert all(sign.isprintable() for sign in mail.subject)
