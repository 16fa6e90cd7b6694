"""A mail as a page of its own: its cleaned html, or its text; nothing in it runs and nothing is loaded."""

import base64
import re
from collections.abc import Callable, Mapping
from html import escape

from shared.mail.parsed import Attachment, Mail

MOST_CHARACTERS = 1024 * 1024
MOST_TAGS = 8000
"""Html parsers take time by the square of the depth; this many tags inside one another take about a second."""
MOST_ATTRIBUTES = 500
"""In one tag: each is compared with all before it."""
MOST_ENTITIES = 40_000
"""Each is added to its text by itself, which takes time by the square of that text's length."""
PICTURES = ("image/gif", "image/jpeg", "image/png", "image/webp")
"""The types of pictures that are shown; SVG is none of them, since it is a document with scripts."""

_BLANK = r"[ \t\r\n\f]"
_ATTRIBUTE = (
    rf"(?:{_BLANK}|/)*+[^ \t\r\n\f/>][^ \t\r\n\f/>=]*+"
    rf"(?:{_BLANK}*+={_BLANK}*+(?:\"[^\"]*+\"?+|'[^']*+'?+|[^ \t\r\n\f>]*+))?+"
)
_TAG_BEGINS = re.compile(r"<[/A-Za-z]")
_TAG = re.compile(rf"</?+[^ \t\r\n\f/>]*+(?:{_ATTRIBUTE}){{0,{MOST_ATTRIBUTES}}}+({_ATTRIBUTE})?+")

Clean = Callable[[str, Mapping[str, str]], str]
"""Return html without what may run, load or lead away; the mapping says what ``cid:`` addresses stand for."""

_STYLE = (
    "html{color-scheme:light;background:#fff;color:#1b1f24}"
    "body{margin:1rem;font:1rem/1.5 system-ui,sans-serif;overflow-wrap:anywhere}"
    "img{max-width:100%;height:auto}pre{white-space:pre-wrap;font:inherit}"
)


def page_of(mail: Mail, pictures: Mapping[str, str], clean: Clean) -> str:
    """Return the page of *mail*; *pictures* are the ``data:`` addresses of its inline ones, by content id."""
    source = mail.html or mail.text
    shown = _short(mail.html) if mail.html else mail.text[:MOST_CHARACTERS]
    body = clean(shown, pictures) if mail.html else f"<pre>{escape(shown)}</pre>"
    cut = "<hr><p>The rest is left out here; the raw message has it.</p>" if len(source) > len(shown) else ""
    return (
        '<!doctype html><html><head><meta charset="utf-8"><title>Message</title>'
        f"<style>{_STYLE}</style></head><body>{body}{cut}</body></html>"
    )


def is_picture(part: Attachment) -> bool:
    """Tell whether *part* can be shown where the html names it."""
    return bool(part.content_id) and part.content_type.lower() in PICTURES


def _short(html: str) -> str:
    """Return the beginning that holds no more than can be cleaned in a moment; the cleaner closes what is open."""
    shown = html[:MOST_CHARACTERS]
    ends = (_before(shown, "<", MOST_TAGS), _before(shown, "&", MOST_ENTITIES), _before_crowded_tag(shown))
    return shown[: min(ends)]


def _before(html: str, sign: str, most: int) -> int:
    """Return where the first *sign* beyond *most* stands, or the end."""
    parts = html.split(sign, most + 1)
    return len(html) - (len(parts[-1]) + 1 if len(parts) > most + 1 else 0)


def _before_crowded_tag(html: str) -> int:
    """
    Return where the first tag with more than `MOST_ATTRIBUTES` begins, or the end.

    Each ``<`` may begin a tag: what stands around it, comments say, may be read in more than one way.
    """
    looked_at = 0
    for begin in _TAG_BEGINS.finditer(html):
        tag = _TAG.match(html, begin.start())
        looked_at += tag.end() - tag.start() if tag else 0
        if (tag and tag[1] is not None) or looked_at > 16 * MOST_CHARACTERS:
            return begin.start()
    return len(html)


def data_address(content_type: str, content: bytes) -> str:
    """Return *content* as a ``data:`` address."""
    return f"data:{content_type.lower()};base64,{base64.b64encode(content).decode()}"
