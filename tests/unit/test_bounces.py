"""What reports of failed delivery say, whatever else strangers put into them."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from localcloud.mail.bounces import non_delivery_report
from shared.bounces import MOST_BLOCKS, Reported, read_report

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
ORIGINAL = b"From: a@b.example\r\nMessage-ID: <m@b.example>\r\nX-Mailgrant-Entry: msg_1\r\n\r\nHi\r\n"


def dsn(action: str, *more: str, returned: str = "message/rfc822") -> bytes:
    """Return a report with one recipient."""
    lines = [
        "Content-Type: multipart/report; report-type=delivery-status; boundary=x",
        "In-Reply-To: <r@b.example>",
        "",
        "--x",
        "Content-Type: message/delivery-status",
        "",
        "Reporting-MTA: dns; b.example",
        "",
        "Final-Recipient: rfc822; ann@example.com",
        f"Action: {action}",
        "Status: 5.7.1 (refused)",
        *more,
        "",
        "--x",
        f"Content-Type: {returned}",
        "",
        ORIGINAL.decode(),
        "--x--",
        "",
    ]
    return "\r\n".join(lines).encode()


@pytest.mark.parametrize("returned", ["message/rfc822", "text/rfc822-headers"])
def test_a_report_names_mail_recipient_and_reason(returned: str) -> None:
    """Headers of the returned mail, with or without its text; a long reason is cut."""
    said = read_report(dsn("failed", f"Diagnostic-Code: smtp; 550 {'no ' * 500}", returned=returned), NOW)

    assert (["msg_1"], ["<m@b.example>"]) == (sorted(said.markers), sorted(said.message_ids))
    assert [("ann@example.com", "5.7.1", 200)] == [(one.address, one.status, len(one.reason)) for one in said.bounces]


@pytest.mark.parametrize("action", ["delayed", "delivered", "relayed", "expanded", ""])
def test_delay_and_success_are_no_bounce(action: str) -> None:
    """Only what failed for good is one."""
    assert () == read_report(dsn(action), NOW).bounces


def test_the_address_that_was_written_to_is_named() -> None:
    """Original-Recipient, where a forwarder's own address failed."""
    said = read_report(dsn("failed", "Original-Recipient: rfc822;bob@example.com"), NOW)

    assert ["bob@example.com"] == [one.address for one in said.bounces]


def test_a_marker_decides_alone() -> None:
    """A report that names one of our mails by its marker is about no other that has the same Message-ID."""
    said = read_report(non_delivery_report(ORIGINAL, "a@b.example", ["x@y.example"], 0.0), NOW)

    assert {"msg_1"} == said.markers
    assert "5.1.10" == said.bounces[0].status


def test_a_mail_that_was_passed_on_did_not_bounce() -> None:
    """A returned mail that carries one of ours as an attachment, or an older report, says nothing of those."""
    ours = b"Content-Type: message/rfc822\r\n\r\n" + ORIGINAL
    older = b"Content-Type: message/rfc822\r\n\r\n" + dsn("failed").replace(b"=x", b"=z").replace(b"--x", b"--z")
    carried = b"--y\r\n" + ours + b"\r\n--y\r\n" + older + b"\r\n--y--\r\n"
    carrier = b"Message-ID: <f@b.example>\r\nContent-Type: multipart/mixed; boundary=y\r\n\r\n" + carried
    report = dsn("failed").replace(ORIGINAL, carrier).replace(b"ann@", b"bob@", 1)
    said = read_report(report, NOW)

    assert ([], ["<f@b.example>"]) == (sorted(said.markers), sorted(said.message_ids))
    assert ["bob@example.com"] == [one.address for one in said.bounces]
    assert () == read_report(carrier, NOW).bounces


@pytest.mark.parametrize("header", ["In-Reply-To", "References"])
def test_without_returned_headers_a_report_is_about_the_mail_that_it_answers(header: str) -> None:
    """Not about each mail of the conversation before it."""
    report = dsn("failed", returned="text/plain").replace(b"In-Reply-To: ", f"{header}: <old@b.example> ".encode())

    assert {"<r@b.example>"} == read_report(report, NOW).message_ids


@given(st.binary(max_size=2000))
@settings(max_examples=100, deadline=None)
def test_bytes_that_are_no_report_say_nothing(content: bytes) -> None:
    """No bytes make the parser fail, or a bounce out of nothing."""
    assert () == read_report(content, NOW).bounces


def test_parts_within_parts_without_end_say_nothing() -> None:
    """A thousand levels are read without a fault."""
    deep = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(3000))

    assert isinstance(read_report(deep, NOW), Reported)


@pytest.mark.parametrize(
    "within",
    [
        b"\r\n\r\n" * 120_000,
        b"".join(b"--q%d\r\nContent-Type: multipart/mixed; boundary=q%d\r\n\r\n" % (n, n + 1) for n in range(900))
        + b"x\r\n" * 150_000,
    ],
    ids=["blocks", "depth"],
)
@pytest.mark.timeout(10)
def test_hostile_reports_take_no_time(within: bytes) -> None:
    """Half a megabyte of empty blocks, or of parts within parts, is read at once; recipients before it are named."""
    head = dsn("failed").replace(b"--x--", b"--x\r\nContent-Type: multipart/mixed; boundary=q0\r\n\r\n")

    assert ["ann@example.com"] == [one.address for one in read_report(head + within, NOW).bounces]
    assert len(read_report(dsn("failed", *["", "Action: failed"] * 5000), NOW).bounces) <= MOST_BLOCKS
