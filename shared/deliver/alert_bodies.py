"""What an alarm looks like where people read it: the event as it is, a card in Teams, a message in Slack."""

import json
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any

from shared.events import CONTENT_TYPE
from shared.notices import PREFIX, EventType

_MAX_FACT = 200
_MAX_FACTS = 12
_MAX_SENTENCE = 2500
_MAX_SECTION = 3000  # docs.slack.dev, "Section block"
_JSON = "application/json"
_OPEN = "Open in the console"
_SENTENCES = ("detail", "what_to_do")
TITLES = {
    EventType.MESSAGE_QUARANTINED: "A mail could not be fetched",
    EventType.CONNECTION_FAILED: "A connection needs attention",
    EventType.CONNECTION_RECOVERED: "A connection works again",
    EventType.DESTINATION_PAUSED: "A destination is paused",
    EventType.DESTINATION_DISABLED: "A destination is disabled",
    EventType.GRANT_CHANGED: "A tenant's consent has changed",
    EventType.CREDENTIAL_EXPIRING: "A credential is about to end",
    EventType.CREDENTIAL_FAILED: "A credential is refused",
    EventType.POISON_FOUND: "Some work failed again and again",
    EventType.TICK_MISSED: "The timer has stopped",
    EventType.EASYAUTH_UNPROVEN: "Administrators cannot sign in",
}


class AlertFormat(StrEnum):
    """Who reads the operator's webhook."""

    CLOUDEVENTS = "cloudevents"
    TEAMS = "teams"
    SLACK = "slack"


def alert_body(form: AlertFormat, event: str) -> tuple[bytes, str]:
    """Return what is posted of *event* (CloudEvents JSON) and its media type; the same event gives the same bytes."""
    if form is AlertFormat.CLOUDEVENTS:
        return event.encode(), CONTENT_TYPE
    body = _card(json.loads(event)) if form is AlertFormat.TEAMS else _blocks(json.loads(event))
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode(), _JSON


def console_link(source: str) -> str:
    """Return the page of the console about what an event's *source* (``…/api/connections/{id}``) names."""
    base, _, place = source.partition("/api/")
    return f"{base}/api/console#/{place}" if "/" in place else f"{base}/api/console"


def _card(event: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return a message for a Teams workflow "When a Teams webhook request is received".

    Texts of ours stand in a RichTextBlock, which knows no markup: an underscore in an id is one.
    """
    lines = [
        [_run(_sentence(event))],
        *([_run(f"{name}: ", weight="Bolder"), _run(text)] for name, text in _facts(event)),
    ]
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [
            {"type": "TextBlock", "text": _title(event), "size": "Large", "weight": "Bolder", "wrap": True},
            *({"type": "RichTextBlock", "inlines": inlines} for inlines in lines),
        ],
        "actions": [{"type": "Action.OpenUrl", "title": _OPEN, "url": console_link(event["source"])}],
    }
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return {"type": "message", "attachments": [attachment]}


def _run(text: str, **style: str) -> dict[str, str]:
    return {"type": "TextRun", "text": text, **style}


def _blocks(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return a message for a Slack incoming webhook; *text* is what notifications show."""
    facts = "\n".join(f"*{name}*: {_escaped(text)}" for name, text in _facts(event))
    sentence = _escaped(_sentence(event))[:_MAX_SECTION]
    return {
        "text": f"{_title(event)}: {sentence}",
        "blocks": [
            {"type": "header", "text": {"type": "plain_text", "text": _title(event)}},
            {"type": "section", "text": {"type": "mrkdwn", "text": sentence}},
            {"type": "section", "text": {"type": "mrkdwn", "text": facts[:_MAX_SECTION]}},
            {"type": "section", "text": {"type": "mrkdwn", "text": f"<{console_link(event['source'])}|{_OPEN}>"}},
        ],
    }


def _escaped(text: str) -> str:
    """Return *text* without what Slack reads as a link or a mention (docs.slack.dev, "Formatting message text")."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _title(event: Mapping[str, Any]) -> str:
    kind = str(event["type"])
    known = EventType._value2member_map_.get(kind)
    return TITLES.get(EventType(kind), kind) if known else kind.removeprefix(PREFIX)


def _sentence(event: Mapping[str, Any]) -> str:
    """Return what happened and what to do."""
    data = event["data"]
    said = " ".join(str(data[name]) for name in _SENTENCES if data.get(name))
    if event["type"] == EventType.GRANT_CHANGED:
        said = f"It was {data.get('before')}, and is {data.get('status')}. {said}"
    return (said.strip() or "The console says more.")[:_MAX_SENTENCE]


def _facts(event: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield ids, codes and counts, and the event's own id and time."""
    values = {name: value for name, value in event["data"].items() if name not in _SENTENCES}
    shown = [(name, _plain(value)) for name, value in values.items() if value not in (None, "", [])]
    yield from ((name.replace("_", " "), text[:_MAX_FACT]) for name, text in shown[:_MAX_FACTS])
    yield "event", str(event["id"])
    yield "time", str(event["time"])


def _plain(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else str(value)
