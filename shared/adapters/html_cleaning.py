"""Cleaning the html of mail with nh3 (Ammonia): a list of what is let through, everything else is left out."""

import re
from collections.abc import Mapping

import nh3

MOST_PICTURE_CHARACTERS = 16 * 1024 * 1024
_LEFT_OUT = {"area", "map", "details", "summary"}
_TAGS = nh3.ALLOWED_TAGS - _LEFT_OUT | {"address", "big", "font", "main", "section", "tfoot"}
_LAYOUT = {"align", "bgcolor", "border", "cellpadding", "cellspacing", "height", "valign", "width"}
_ATTRIBUTES = {
    "*": {"style", "dir", "lang", "title"},
    "img": {"src", "alt", "width", "height", "align"},
    "font": {"color", "face", "size"},
    "ol": {"start"},
    "td": _LAYOUT | {"colspan", "rowspan"},
    "th": _LAYOUT | {"colspan", "rowspan", "scope"},
    **dict.fromkeys(("table", "tbody", "thead", "tfoot", "tr", "col", "colgroup", "div", "p", "hr"), _LAYOUT),
}
_STYLES = {
    *("color", "background-color", "direction", "display", "height", "line-height", "list-style-type", "max-width"),
    *("font", "font-family", "font-size", "font-style", "font-weight", "letter-spacing", "text-align", "width"),
    *("text-decoration", "text-indent", "text-transform", "vertical-align", "white-space", "word-break"),
    *("border", "border-bottom", "border-collapse", "border-color", "border-left", "border-radius", "border-right"),
    *("border-spacing", "border-style", "border-top", "border-width"),
    *("margin", "margin-bottom", "margin-left", "margin-right", "margin-top"),
    *("padding", "padding-bottom", "padding-left", "padding-right", "padding-top"),
}
_PICTURE = re.compile(r"data:image/(?:gif|jpeg|png|webp);base64,[A-Za-z0-9+/=\s]+", re.IGNORECASE)


def clean(html: str, pictures: Mapping[str, str]) -> str:
    """
    Return *html* without scripts, forms, frames, SVG, links' targets and whatever would be loaded from elsewhere.

    A picture is kept where it is a ``data:`` address of a picture, or a ``cid:`` address that *pictures* knows, up to
    16 MiB in all: html may name one picture thousands of times.
    """
    left = MOST_PICTURE_CHARACTERS

    def kept(tag: str, name: str, value: str) -> str | None:
        if (tag, name) == ("img", "src"):
            nonlocal left
            address = _picture(value, pictures)
            left -= len(address or "")
            return address if left >= 0 else None
        return None if name == "style" and "url" in value.lower() else value

    return nh3.clean(
        html,
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        attribute_filter=kept,
        url_schemes={"cid", "data"},
        filter_style_properties=_STYLES,
        url_relative="deny",
        link_rel=None,
    )


def _picture(address: str, pictures: Mapping[str, str]) -> str | None:
    scheme, _, name = address.strip().partition(":")
    if scheme.lower() == "cid":
        return pictures.get(name.strip("<>"))
    return address if _PICTURE.fullmatch(address.strip()) else None
