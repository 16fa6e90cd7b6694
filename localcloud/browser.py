"""A browser as far as consent needs one: cookies, redirects, forms; Microsoft's hosts through the gateway."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from urllib.parse import urljoin

import httpx

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass
class Form:
    """A form of a page with the values that it stands ready to post."""

    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)
    buttons: list[tuple[str, str, str]] = field(default_factory=list)
    """(name, value, text) of each submit button."""


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.text: list[str] = []
        self._button: list[str] | None = None
        self._select: str | None = None
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag in ("style", "script"):
            self._hidden += 1
        if tag == "form":
            self.forms.append(Form(values.get("action", ""), values.get("method", "get").lower()))
        elif not self.forms:
            return
        elif tag == "button" or (tag == "input" and values.get("type") == "submit"):
            self.forms[-1].buttons.append((values.get("name", ""), values.get("value", ""), values.get("value", "")))
            self._button = [] if tag == "button" else None
        elif tag == "input" and values.get("name"):
            self._take_input(values)
        elif tag == "select":
            self._select = values.get("name")
        elif tag == "option" and self._select and ("selected" in values or self._select not in self.forms[-1].fields):
            self.forms[-1].fields[self._select] = values.get("value", "")

    def _take_input(self, values: dict[str, str]) -> None:
        if values.get("type") not in ("radio", "checkbox") or "checked" in values:
            self.forms[-1].fields[values["name"]] = values.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("style", "script"):
            self._hidden -= 1
        if tag == "button" and self._button is not None:
            name, value, _ = self.forms[-1].buttons[-1]
            self.forms[-1].buttons[-1] = (name, value, "".join(self._button).strip())
            self._button = None
        if tag == "select":
            self._select = None

    def handle_data(self, data: str) -> None:
        if self._hidden:
            return
        if self._button is not None:
            self._button.append(data)
        if data.strip():
            self.text.append(data.strip())


@dataclass
class Page:
    """A page as the browser shows it; *url* is where the redirects ended, *trail* the addresses that led there."""

    url: str
    status: int
    html: str
    headers: Mapping[str, str]
    trail: tuple[str, ...] = ()

    @property
    def forms(self) -> list[Form]:
        """The forms of the page."""
        return self._parsed().forms

    @property
    def text(self) -> str:
        """The words of the page, in order."""
        return " ".join(self._parsed().text)

    def _parsed(self) -> _Forms:
        parser = _Forms()
        parser.feed(self.html)
        return parser


class Browser:
    """One person's browser. *proxy* and *ca_file* lead to the simulated Microsoft; loopback is called directly."""

    def __init__(self, proxy: str, ca_file: str) -> None:
        context = ssl.create_default_context(cafile=ca_file)
        self._client = httpx.Client(
            mounts={"https://": httpx.HTTPTransport(proxy=proxy, verify=context)},
            transport=httpx.HTTPTransport(),
            trust_env=False,
            follow_redirects=True,
            timeout=30,
        )

    def open(self, url: str, *, method: str = "GET") -> Page:
        """Follow a link, redirects included."""
        return self._page(self._client.request(method, url))

    def submit(self, page: Page, button: str, **fields: str) -> Page:
        """
        Press the button whose text, name or value is *button*, with *fields* filled in.

        Raises LookupError where no form of the page has it.
        """
        for form in page.forms:
            for name, value, text in form.buttons:
                if button.lower() in (text.lower(), name.lower(), value.lower()):
                    data = {**form.fields, **fields, **({name: value} if name else {})}
                    return self._send(form, urljoin(page.url, form.action or page.url), data)
        message = f"no button {button!r} on this page: {page.text[:300]}"
        raise LookupError(message)

    @property
    def cookies(self) -> httpx.Cookies:
        """The cookie jar."""
        return self._client.cookies

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    def _send(self, form: Form, url: str, data: dict[str, str]) -> Page:
        if form.method == "post":
            return self._page(self._client.post(url, data=data))
        return self._page(self._client.get(url, params=data))

    @staticmethod
    def _page(response: httpx.Response) -> Page:
        trail = tuple(str(step.url) for step in response.history)
        return Page(str(response.url), response.status_code, response.text, response.headers, trail)
