"""How do messages, folders, attachments and people look as JSON."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from localcloud.mail.errors import unreadable
from localcloud.mail.fields import Json, plain_text, timestamp
from localcloud.mail.message import Message

if TYPE_CHECKING:
    from collections.abc import Sequence

    from localcloud.graph.odata import MessageView
    from localcloud.graph.wire import Request
    from localcloud.mail.message import Attachment
    from localcloud.mail.store import Folder, Mailbox
    from localcloud.world import User

_ATTACHMENT_OVERHEAD = 306  # Exchange's size counts more than the content
# Lists of these alone do not read the messages' MIME text, as idle fetching asks for nothing else.
_ITEM_PROPERTIES = frozenset(
    (
        "id", "receivedDateTime", "isRead", "isDraft", "parentFolderId", "createdDateTime", "lastModifiedDateTime",
        "changeKey", "webLink",
    )
)  # fmt: skip
_DOCUMENT_HEAD = '<html><head>\r\n<meta http-equiv="Content-Type" content="text/html; charset=utf-8"></head>'
MESSAGE_SIZE_IDS = ("Long 0xe08", "Integer 0xe08")
MESSAGE_CLASS_ID = "String 0x1a"
INTERNET_HEADERS = "String {00020386-0000-0000-c000-000000000046} Name "


def message_id(message: Message, *, immutable: bool) -> str:
    """Return the id in the wanted format."""
    return message.immutable_id if immutable else message.mutable_id


def message_json(message: Message, view: MessageView) -> Json:
    """
    Return *message* as *view* wants it; the id and the etag are always there.

    Raises:
        MailError: 500 for a poisoned message.
    """
    light = view.select is not None and not view.body_as_text and _ITEM_PROPERTIES.issuperset(view.select)
    if message.poison and not (light and message.poison == "full"):
        raise unreadable()
    fields = message.item_fields() if light else message.fields()
    shown: Json = {"@odata.etag": fields["@odata.etag"]}
    if view.select is None:
        shown |= fields
    else:
        shown |= {name: fields[name] for name in view.select if name in fields}
    shown["id"] = message_id(message, immutable=view.immutable_ids)
    wanted = view.select or ()
    if view.select is None or "parentFolderId" in wanted:
        shown["parentFolderId"] = message.folder_id
    if view.select is None or "webLink" in wanted:
        shown["webLink"] = f"https://outlook.office365.com/owa/?ItemID={quote(shown['id'], safe='')}&exvsurl=1"
    if "internetMessageHeaders" in wanted and not message.submitted:
        shown["internetMessageHeaders"] = [{"name": name, "value": value} for name, value in message.internet_headers()]
    if "uniqueBody" in wanted:
        shown["uniqueBody"] = fields["body"]
    for name in ("body", "uniqueBody"):
        if name in shown:
            text = {"contentType": "text", "content": plain_text(fields)}
            shown[name] = text if view.body_as_text else whole_document(shown[name])
    _expand(shown, message, view)
    return shown


def _expand(shown: Json, message: Message, view: MessageView) -> None:
    if view.extended:
        values = {name: extended_value(message, name) for name in view.extended}
        found = [{"id": name, "value": value} for name, value in values.items() if value is not None]
        if found:  # Graph leaves the property out where no value exists
            shown["singleValueExtendedProperties"] = found
    if view.attachments is not None:
        shown["attachments"] = [attachment_json(item, view.attachments) for item in message.attachments()]


def extended_value(message: Message, canonical_id: str) -> str | None:
    """Return the value of an extended property: one that was set, the message size, or an internet header."""
    value = message.extended.get(canonical_id)
    if value is not None:
        return value
    if canonical_id in MESSAGE_SIZE_IDS:
        return str(len(message.mime()))
    if canonical_id == MESSAGE_CLASS_ID:
        return "IPM.Note"
    if canonical_id.startswith(INTERNET_HEADERS):
        return message.header(canonical_id.removeprefix(INTERNET_HEADERS))
    return None


def attachment_json(attachment: Attachment, select: Sequence[str] = ()) -> Json:
    """Return *attachment*; a nested message has no contentBytes."""
    file = attachment.file
    shown: dict[str, Any] = {
        "@odata.type": f"#microsoft.graph.{'item' if file.nested else 'file'}Attachment", "id": attachment.id,
        "lastModifiedDateTime": timestamp(attachment.modified_at), "name": file.name,
        "contentType": file.content_type, "size": len(file.content) + _ATTACHMENT_OVERHEAD, "isInline": file.inline,
    }  # fmt: skip
    if not file.nested:
        shown |= {"@odata.mediaContentType": file.content_type, "contentId": file.content_id, "contentLocation": None}
        if not select or "contentBytes" in select:
            shown["contentBytes"] = base64.b64encode(file.content).decode()
    if select:
        kept = {"id", *select}
        shown = {name: value for name, value in shown.items() if name.startswith("@") or name in kept}
    return shown


def nested_json(attachment: Attachment) -> Json:
    """Return the message in *attachment* as ``$expand=microsoft.graph.itemattachment/item`` shows it: with no id."""
    fields = Message("", attachment.file.content, attachment.modified_at).fields()
    shown = {name: value for name, value in fields.items() if not name.startswith("@")}
    return {"@odata.type": "#microsoft.graph.message", "id": "", **shown, "body": whole_document(fields["body"])}


def whole_document(body: Json) -> Json:
    """Return *body*; HTML that was a fragment is the whole document that Exchange makes of it."""
    content = str(body["content"])
    if body["contentType"] != "html" or "<body" in content.casefold():
        return body
    return body | {"content": f"{_DOCUMENT_HEAD}<body>{content}</body></html>"}


def folder_json(mailbox: Mailbox, folder: Folder) -> Json:
    """Return *folder* with its counts."""
    return {
        "id": folder.id, "displayName": folder.name, "parentFolderId": (folder.parent or mailbox.root).id,
        "childFolderCount": sum(not child.hidden for child in mailbox.children(folder)),
        "unreadItemCount": folder.unread(), "totalItemCount": len(folder.messages), "isHidden": folder.hidden,
    }  # fmt: skip


def user_json(user: User) -> Json:
    """Return every property of *user* that this cloud knows."""
    given, _, family = user.display_name.partition(" ")
    return {
        "id": user.id, "displayName": user.display_name, "givenName": given or None, "surname": family or None,
        "mail": user.address, "userPrincipalName": user.address, "mailNickname": user.address.partition("@")[0],
        "accountEnabled": True, "userType": "Member", "proxyAddresses": [f"SMTP:{user.address}"],
        "businessPhones": [], "jobTitle": None, "mobilePhone": None, "officeLocation": None,
        "preferredLanguage": None, "assignedPlans": [], "assignedLicenses": [], "department": None,
        "companyName": None, "otherMails": [], "imAddresses": [user.address],
    }  # fmt: skip


def preference_applied(request: Request) -> dict[str, str]:
    """Return the header that echoes the preferences which were honoured."""
    applied = []
    if request.immutable_ids:
        applied.append('IdType="ImmutableId"')
    if request.preferences.get("outlook.body-content-type", "").casefold() in ("text", "html"):
        applied.append(f'outlook.body-content-type="{request.preferences["outlook.body-content-type"]}"')
    if "outlook.allow-unsafe-html" in request.preferences:
        applied.append("outlook.allow-unsafe-html")
    if "odata.maxpagesize" in request.preferences:
        applied.append(f"odata.maxpagesize={request.preferences['odata.maxpagesize']}")
    if "odata.track-changes" in request.preferences:
        applied.append("odata.track-changes")
    return {"Preference-Applied": ", ".join(applied)} if applied else {}
