"""How a good input becomes a bad one: cut, spliced, repeated, nested, with what has broken parsers before."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from random import Random
from typing import Any

BOUNDARIES = (b"b", b"q", b"=_x")
HEADERS = (
    b"Content-Type: multipart/mixed; boundary=b\r\n", b'Content-Type: multipart/report; report-type="delivery-status"; boundary=b\r\n',
    b"Content-Type: multipart/digest; boundary=q\r\n", b"Content-Type: multipart/alternative; boundary*0==; boundary*1=_x\r\n",
    b"Content-Type: message/rfc822\r\n", b"Content-Type: message/delivery-status\r\n", b"Content-Type: text/rfc822-headers\r\n",
    b"Content-Type: text/html; charset=utf-7\r\n", b"Content-Type: text/plain; charset=punycode\r\n",
    b"Content-Type: text/plain; charset=idna\r\n", b"Content-Type: text/plain; charset=x-no-such\r\n",
    b"Content-Type: text/plain; charset*=utf-8'en'utf%2D16\r\n", b"Content-Type: text/plain; charset=unicode_escape\r\n",
    b"Content-Type: text/plain; charset=hz\r\n", b"Content-Type: text/plain; charset=iso-2022-jp-3\r\n",
    b"Content-Type: text/plain; charset=undefined\r\n", b"Content-Type: text/plain; charset=utf-8-sig\r\n",
    b'Content-Type: text/calendar; method=REQUEST; name="a.ics"\r\n', b"Content-Type: application/ms-tnef; name=winmail.dat\r\n",
    b"Content-Transfer-Encoding: base64\r\n", b"Content-Transfer-Encoding: quoted-printable\r\n",
    b"Content-Transfer-Encoding: x-uuencode\r\n", b"Content-Transfer-Encoding: \xff\r\n",
    b"Content-Disposition: attachment; filename*0*=utf-8''a%20; filename*1=b; filename*99999999999=c\r\n",
    b'Content-Disposition: inline; filename="=?utf-8?b?w7w=?="\r\n', b"Content-Disposition: attachment; filename*=zip''%00\r\n",
    b"Content-ID: <pic@x>\r\n", b"Subject: =?punycode?q?a-=61?= =?utf-8?b?!!?= =?x?y?z?=\r\n", b"Subject:\x00\x07\x7f\xed\xa0\x80\r\n",
    b"From: MAILER-DAEMON@x\r\n", b'To: ((((a)))), b: c@d, <<e@f>;, "\\"@g"@h\r\n', b"Date: Fri, 31 Dec 9999 23:59:59 -9999\r\n",
    b"Date: 1 Jan 0000 00:00:00 +0000\r\n", b"Message-ID: <a@b>\r\n", b"In-Reply-To: <a@b\r\n", b"References: <<a@b><c@d>>\r\n",
    b"X-Mailgrant-Entry: msg_x\r\n", b"Auto-Submitted: auto-replied\r\n", b"Return-Path: <>\r\n", b"Action: failed\r\n",
    b"Original-Recipient: rfc822; ann@example.com\r\n", b"Status: 5.1.1\r\n", b"Diagnostic-Code: smtp; 550 no\r\n",
)  # fmt: skip
TOKENS = (
    b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"\r\n ", b"\r\n\t", b"\x00", b"--", b"=", b"==", b"=?", b"?=", b"=?utf-8?q?", b"(", b")", b'"',
    b"\\", b"<", b">", b",", b";", b":", b"@", b"'", b"%00", b"\xff", b"\xed\xa0\x80", b"\xf0\x9f\x98\x80", b"\xc2\x85", b"\xe2\x80\xa8",
    b"begin 644 a\r\n", b"#86)C\r\n", b"end\r\n", b"QUJD", b"=41", b"&", b"&#x", b"<p ", b"<!--", b"]]>", b"<svg>", b'style="color:',
    b"cid:pic", b"data:image/png;base64,AA==", b"0" * 400, b"9" * 5000, b"a1 a2 a3 ", b"*0*=", b"*1*=", b"-----BEGIN PRIVATE KEY-----\n",
    b"{{", b"}}", b"{% for i in payload.x %}", b"{% endfor %}", b"|", b"~", b"payload", b"[", b"]", b"{", b"}", b"e999", b"NaN",
)  # fmt: skip
_SURROGATE = "\ud800"
TEXTS = (
    "", " ", "\x00", _SURROGATE, "a" + _SURROGATE, "\u2028", "é" * 300, "\U0001f600" * 200, "x" * 40_000, "../..", "a/b#c?d\\e", "|", "null",
    "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2026-11-22T07:00:00+23:59",
    "2026-11-22", "2026-W47-7T00:00Z", "24:00", "²", "١٢", "-1", "1e3", "http://[::1", "https://a:b@c:99999/", "https://é.example/\x7f",
    "a@b.example", '"a"@b.example', "a@" + "b." * 120 + "example", "a@xn--a.example", "@", "=?utf-8?q?a?=@b.example", "{{ payload }}",
    "{{ payload.a.b.c }}", "{% if %}", "{% for a in payload %}{{ a }}{% endfor %}", "msg_x", "rcv_x", "conn_x", "inbox", "\r\nX: y",
)  # fmt: skip
NUMBERS = (
    0,
    1,
    -1,
    2**31,
    2**53 + 1,
    2**63 - 1,
    2**63,
    -(2**63) - 1,
    10**400,
    0.1,
    -0.0,
    1e308,
    float("nan"),
    float("inf"),
)


def mail(random: Random, data: bytes, other: bytes) -> bytes:
    """Return *data* as mail that went wrong in one to five ways."""
    for _ in range(random.randint(1, 5)):
        data = random.choice(_OF_MAIL)(random, data, other)
    return data


def text(random: Random, data: bytes, other: bytes) -> bytes:
    """Return *data* with one to five pieces lost, doubled, taken from *other*, or of what has broken parsers before."""
    for _ in range(random.randint(1, 5)):
        data = random.choice(_OF_TEXT)(random, data, other)
    return data


def body(random: Random, data: bytes, other: bytes) -> bytes:
    """Return *data*, which is JSON, with one to three of its values changed, or now and then broken as bytes."""
    if random.random() < 0.1:
        return random.choice((*_OF_TEXT, _deep))(random, data, other)
    try:
        value, stranger = json.loads(data), json.loads(other or b"null")
    except (ValueError, RecursionError):
        return other
    holder = [value]
    for _ in range(random.randint(1, 3)):
        _change(random, random.choice(list(_places(holder))), stranger)
    made = json.dumps(holder[0], ensure_ascii=random.random() < 0.7).encode("utf-8", "surrogatepass")
    return _doubled_key(random, made) if random.random() < 0.05 else made


def _change(random: Random, place: tuple[Any, Any], stranger: Any) -> None:
    holder, key = place
    before = holder[key]
    match random.randrange(9):
        case 0 if isinstance(holder, dict):
            del holder[key]
        case 1:
            holder[key] = random.choice(NUMBERS)
        case 2 | 3:
            holder[key] = random.choice(TEXTS)
        case 4:
            holder[key] = random.choice((None, True, False, [], {}, [None], {"": None}))
        case 5 if isinstance(before, str):
            at = random.randint(0, len(before))
            holder[key] = before[:at] + random.choice(TEXTS) + before[at:]
        case 6 if isinstance(before, list) and before:
            holder[key] = before * random.choice((2, 50, 1001))
        case 7 if isinstance(before, dict):
            before[random.choice(TEXTS)] = random.choice((*TEXTS, *NUMBERS))
        case _:
            holder[key] = copy.deepcopy(random.choice(list(_places([stranger]))[:50]))[0]


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    pending = [value]
    for holder in pending:
        for key in list(holder) if isinstance(holder, dict) else range(len(holder)):
            yield holder, key
            if isinstance(holder[key], (dict, list)) and len(pending) < 500:
                pending.append(holder[key])


def _doubled_key(random: Random, data: bytes) -> bytes:
    return data.replace(b"{", random.choice((b'{"to":1,', b'{"a":{},', b'{"":"",')), 1)


def _deep(random: Random, data: bytes, _: bytes) -> bytes:
    count = random.choice((10, 400, 5000, 100_000))
    at = data.find(b":") + 1
    return data[:at] + random.choice((b"[", b'{"a":')) * count + data[at:]


def _cut(random: Random, data: bytes, _: bytes) -> bytes:
    return data[: random.randint(0, len(data))]


def _lost(random: Random, data: bytes, _: bytes) -> bytes:
    at = random.randint(0, len(data))
    return data[:at] + data[at + random.choice((1, 2, 10, 100)) :]


def _splice(random: Random, data: bytes, other: bytes) -> bytes:
    at, begin = random.randint(0, len(data)), random.randint(0, len(other))
    return data[:at] + other[begin : begin + random.choice((5, 50, 2000))] + data[at:]


def _token(random: Random, data: bytes, _: bytes) -> bytes:
    at = random.randint(0, len(data))
    return data[:at] + random.choice(TOKENS) + data[at:]


def _many(random: Random, data: bytes, _: bytes) -> bytes:
    at, made = random.randint(0, len(data)), b"".join(random.choices(TOKENS, k=random.randint(1, 3)))
    return data[:at] + (made * random.choice((10, 300, 10_000)))[:40_000] + data[at:]


def _noise(random: Random, data: bytes, _: bytes) -> bytes:
    at = random.randint(0, len(data))
    return data[:at] + random.randbytes(random.choice((1, 4, 30))) + data[at + 1 :]


def _repeat(random: Random, data: bytes, _: bytes) -> bytes:
    at = random.randint(0, len(data))
    piece = data[at : at + random.choice((1, 8, 100))]
    return data[:at] + (piece * random.choice((2, 50, 5000)))[:40_000] + data[at:]


def _header(random: Random, data: bytes, _: bytes) -> bytes:
    """Put headers at the top, or after any line."""
    made = b"".join(random.choices(HEADERS, k=random.choice((1, 2, 5))))
    ends = [0, data.find(b"\n", random.randint(0, len(data))) + 1]
    at = random.choice(ends)
    return data[:at] + made + data[at:]


def _long_header(random: Random, data: bytes, _: bytes) -> bytes:
    name = random.choice(
        (
            b"To",
            b"Subject",
            b"References",
            b"X-A",
            b"Date",
            b"Content-Type",
            b"Content-Disposition",
            b"From",
            b"Message-ID",
        )
    )
    value = (
        b"".join(random.choices(TOKENS, k=random.randint(1, 4)))
        .replace(b"\r", b"")
        .replace(b"\n", random.choice((b"", b"\r\n ")))
    )
    return name + b": " + (value * 20_000)[: random.choice((100, 4000, 60_000))] + b"\r\n" + data


def _part(random: Random, data: bytes, other: bytes) -> bytes:
    """Make it a part of a multipart, beside another, or one of many in one another."""
    boundary = random.choice(BOUNDARIES)
    head = b"Content-Type: multipart/mixed; boundary=" + boundary + b"\r\n\r\n"
    line, depth = b"\r\n--" + boundary + b"\r\n", random.choice((1, 1, 1, 3, 60))
    end = random.choice((b"", b"\r\n--" + boundary + b"--\r\n", b"--", b"\n--" + boundary + b" \t\n"))
    return (head + line) * depth + data + line + other[: random.choice((0, 200, 4000))] + end


def _lines(random: Random, data: bytes, _: bytes) -> bytes:
    return data.replace(b"\r\n", b"\n").replace(b"\n", random.choice((b"\r\n", b"\r", b"\n\r", b"\r\r\n")))


_OF_TEXT = (_cut, _lost, _splice, _token, _many, _noise, _repeat)
_OF_MAIL = (*_OF_TEXT, _header, _header, _long_header, _part, _part, _lines)


def any_bytes(random: Random, data: bytes, other: bytes) -> bytes:
    """Return chance bytes, or *data* changed a little: for strategies that draw from bytes."""
    if random.random() < 0.5:
        return random.randbytes(random.choice((16, 200, 2000)))
    return _splice(random, _noise(random, data, other), other)


def shrunk(data: bytes, fails: Any, steps: int = 400) -> bytes:
    """Return a shorter input for which *fails* still says True; tries at most *steps* times."""
    size = len(data) // 2
    while size and steps > 0:
        at = 0
        while at < len(data) and steps > 0:
            steps -= 1
            less = data[:at] + data[at + size :]
            if fails(less):
                data = less
            else:
                at += size
        size //= 2
    return data
