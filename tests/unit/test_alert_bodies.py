"""Alarms as people read them: what happened, what to do and where to look, and no markup that was not meant."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.deliver.alert_bodies import TITLES, AlertFormat, alert_body, console_link
from shared.events import CONTENT_TYPE
from shared.identifiers import box_hash, new_connection_id
from shared.notices import ALARMS, SYSTEM, EventType, Notice, Pending
from shared.rows import decode
from shared.settings import Settings, SettingsError

BASE = "https://mail.example"
CONNECTION = new_connection_id(box_hash("client", "contoso", "mailbox"))
NOW = datetime(2026, 11, 22, tzinfo=UTC)
HUMAN = (AlertFormat.TEAMS, AlertFormat.SLACK)


def event(kind: EventType = EventType.CONNECTION_FAILED, owner: str = CONNECTION, **data: Any) -> str:
    """Return the JSON of a notice, as its row renders it."""
    notice = Notice(kind, owner, data, NOW, "evt_1")
    return decode(Pending, notice.in_box(CONNECTION).values).rendered(BASE)  # type: ignore[union-attr]


def words(form: AlertFormat, text: str) -> list[str]:
    """Return every text of a body."""

    def walk(value: Any) -> Any:
        if isinstance(value, dict):
            yield from (found for name, item in value.items() if name != "$schema" for found in walk(item))
        elif isinstance(value, list):
            yield from (found for item in value for found in walk(item))
        elif isinstance(value, str):
            yield value

    return list(walk(json.loads(alert_body(form, text)[0])))


def test_the_plain_form_is_the_event_itself() -> None:
    """Byte for byte, so that its signature covers what was recorded."""
    text = event(detail="x")

    assert (text.encode(), CONTENT_TYPE) == alert_body(AlertFormat.CLOUDEVENTS, text)


@pytest.mark.parametrize("form", HUMAN)
@pytest.mark.parametrize("kind", sorted(ALARMS))
def test_every_alarm_has_its_words(form: AlertFormat, kind: EventType) -> None:
    """Title, sentence, advice, facts and a link to the record; the same bytes each time."""
    text = event(kind, detail="It broke.", what_to_do="Mend it.", code="mailbox_not_found", failures=3, missing=["A"])
    said = "\n".join(words(form, text))

    assert [] == [
        part
        for part in (
            TITLES[kind],
            "It broke. Mend it.",
            "mailbox_not_found",
            "evt_1",
            "3",
            console_link(f"{BASE}/api/connections/{CONNECTION}"),
        )
        if part not in said
    ]
    assert alert_body(form, text) == alert_body(form, text)
    assert "application/json" == alert_body(form, text)[1]


def test_every_alarm_has_a_title_and_nothing_else_has() -> None:
    """A new alarm needs one."""
    assert set(TITLES) == set(ALARMS)


@pytest.mark.parametrize(
    ("source", "link"),
    [
        (f"{BASE}/api/connections/conn_1", f"{BASE}/api/console#/connections/conn_1"),
        (f"{BASE}/api/grants/grant_1.t", f"{BASE}/api/console#/grants/grant_1.t"),
        (f"{BASE}/api/{SYSTEM}", f"{BASE}/api/console"),
    ],
)
def test_the_link_leads_to_the_record(source: str, link: str) -> None:
    """What belongs to no record leads to the console itself."""
    assert link == console_link(source)


def test_a_teams_card_is_one_for_a_workflow() -> None:
    """A message with one adaptive card, whose texts of ours are runs without markup."""
    body = json.loads(alert_body(AlertFormat.TEAMS, event(detail="See _this_ [link](https://evil.example)."))[0])
    (attachment,) = body["attachments"]
    card = attachment["content"]
    marked = [item["text"] for item in card["body"] if item["type"] == "TextBlock"]

    assert ("message", "application/vnd.microsoft.card.adaptive", "AdaptiveCard", "1.4") == (
        body["type"],
        attachment["contentType"],
        card["type"],
        card["version"],
    )
    assert [TITLES[EventType.CONNECTION_FAILED]] == marked


def test_slack_reads_no_link_or_mention() -> None:
    """Angle brackets and ampersands are text; the one link is ours."""
    said = "\n".join(words(AlertFormat.SLACK, event(detail="<!channel> <https://evil.example|here> & more")))

    assert 1 == said.count("<")
    assert "&lt;!channel&gt; &lt;https://evil.example|here&gt; &amp; more" in said


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=4000) | st.none() | st.integers(), max_size=30))
def test_no_data_is_too_much(data: dict[str, Any]) -> None:
    """Slack's limits (150, 3000) and Teams's 28 KB hold whatever the notice says."""
    text = event(**{"detail": "&" * 5000, **data}) if "kind" not in data and "owner" not in data else event()
    slack = json.loads(alert_body(AlertFormat.SLACK, text)[0])

    assert all(
        0 < len(block["text"]["text"]) <= (150 if block["type"] == "header" else 3000) for block in slack["blocks"]
    )
    assert len(alert_body(AlertFormat.TEAMS, text)[0]) < 28 * 1024


def test_another_format_is_refused_at_the_start() -> None:
    """By name, with those that there are."""
    with pytest.raises(SettingsError) as error:
        Settings.from_environment({"ALERT_FORMAT": "discord"})

    assert "ALERT_FORMAT must be cloudevents, teams or slack" in str(error.value)
