"""What may a draft consist of, and what does Exchange make of it."""

import email
from email.policy import default

import pytest

from localcloud.graph.attachment_sessions import MIN_SIZE
from localcloud.graph.attachments import MAX_POSTED_BYTES
from tests.localcloud.graph_cast import IMMUTABLE, GraphScene, draft, encoded, mail, recipient

ANN = "/users/ann@contoso.example"
PLAIN = {"Content-Type": "text/plain"}
FILE = {
    "@odata.type": "#microsoft.graph.fileAttachment",
    "name": "größe.txt",
    "contentType": "text/plain",
    "contentBytes": encoded(b"abc"),
}


def mime_of(scene: GraphScene, message: str) -> email.message.EmailMessage:
    """Return the parsed $value of a message."""
    raw = scene.call("GET", f"{ANN}/messages/{message}/$value").content
    parsed = email.message_from_bytes(raw, policy=default)
    assert isinstance(parsed, email.message.EmailMessage)
    return parsed


def created(scene: GraphScene, body: object) -> str:
    """Create a draft and return its immutable id."""
    answer = scene.post(f"{ANN}/messages", body, headers=IMMUTABLE)
    assert 201 == answer.status_code, answer.text
    return str(answer.json()["id"])


def test_json_draft_becomes_mime() -> None:
    """Every property of a JSON draft is found in its MIME text."""
    scene = GraphScene()
    body = draft(
        "jörg@example.com",
        subject="Grüße\r\nBcc: evil@example.com",
        ccRecipients=[recipient("cc@example.com", "Çağ, Ltd")],
        bccRecipients=[recipient("secret@example.com")],
        replyTo=[recipient("back@example.com")],
        internetMessageId="<own-1@contoso.example>",
        internetMessageHeaders=[{"name": "X-Mailgrant-Entry", "value": "msg_1"}],
        importance="High",
        attachments=[FILE],
    )  # fmt: skip
    parsed = mime_of(scene, created(scene, body))

    assert "Grüße  Bcc: evil@example.com" == parsed["Subject"].replace("\r\n", "")
    assert ["cc@example.com"] == [item.addr_spec for item in parsed["Cc"].addresses]
    assert ["Çağ, Ltd"] == [item.display_name for item in parsed["Cc"].addresses]
    assert "secret@example.com" == parsed["Bcc"]
    assert "jörg@example.com" in str(parsed["To"])
    assert ("<own-1@contoso.example>", "msg_1", "high") == (
        parsed["Message-ID"],
        parsed["X-Mailgrant-Entry"],
        parsed["Importance"],
    )
    assert [("größe.txt", b"abc")] == [
        (part.get_filename(), part.get_payload(decode=True)) for part in parsed.iter_attachments()
    ]
    html = parsed.get_body()
    assert html is not None
    assert "<p>As asked.</p>" == html.get_content().strip()


def test_mime_draft_is_kept_byte_for_byte() -> None:
    """A MIME draft serves the very bytes that were posted, and its properties follow from them."""
    scene = GraphScene()
    raw = mail("From MIME", extra="X-Mailgrant-Entry: msg_2\r\nIn-Reply-To: <a@b>\r\n")
    answer = scene.call("POST", f"{ANN}/messages", content=encoded(raw), headers={**PLAIN, **IMMUTABLE})
    message = answer.json()

    assert (201, True, "From MIME") == (answer.status_code, message["isDraft"], message["subject"])
    assert raw == scene.call("GET", f"{ANN}/messages/{message['id']}/$value").content


def test_attachment_to_a_mime_draft_changes_no_other_byte() -> None:
    """A file posted to a MIME draft is put behind its content, whose headers stay."""
    scene = GraphScene()
    raw = mail("With file", text="Hi there", extra="X-Mailgrant-Entry: msg_3\r\nReferences: <a@b>\r\n")
    message = scene.call("POST", f"{ANN}/messages", content=encoded(raw), headers={**PLAIN, **IMMUTABLE}).json()["id"]
    posted = scene.post(f"{ANN}/messages/{message}/attachments", FILE)
    parsed = mime_of(scene, message)

    assert 201 == posted.status_code
    assert ("msg_3", "<a@b>") == (parsed["X-Mailgrant-Entry"], parsed["References"])
    assert [b"abc"] == [part.get_payload(decode=True) for part in parsed.iter_attachments()]
    assert b"Hi there\r\n" in scene.call("GET", f"{ANN}/messages/{message}/$value").content
    assert scene.get(f"{ANN}/messages/{message}")["hasAttachments"]


@pytest.mark.parametrize(
    ("content", "code"),
    [("not base64!", "ErrorMimeContentInvalidBase64String"), (encoded(b"no header here"), "ErrorMimeContentInvalid")],
)
def test_bad_mime(content: str, code: str) -> None:
    """Bad base64 and content without headers are told apart."""
    answer = GraphScene().call("POST", f"{ANN}/messages", content=content, headers=PLAIN)

    assert (400, code) == (answer.status_code, answer.json()["error"]["code"])


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ([{"name": "In-Reply-To", "value": "<a@b>"}], "InvalidInternetMessageHeader"),
        ([], "InvalidInternetMessageHeaderCollection"),
        ([{"name": f"x-{number}", "value": ""} for number in range(6)], "InvalidInternetMessageHeaderCollection"),
    ],
)
def test_header_rules(headers: list[dict[str, str]], code: str) -> None:
    """Only one to five headers may be given, and only x- names."""
    answer = GraphScene().post(f"{ANN}/messages", draft("a@b.example", internetMessageHeaders=headers))

    assert (400, code) == (answer.status_code, answer.json()["error"]["code"])


@pytest.mark.parametrize(
    "body",
    [
        {"subjekt": "x"},
        {"subject": 1},
        {"toRecipients": [{"address": "a@b.example"}]},
        {"toRecipients": "a@b.example"},
        {"body": {"contentType": "markdown", "content": ""}},
        {"attachments": [{"name": "a", "contentBytes": "YQ=="}]},
        {"attachments": [FILE | {"contentBytes": "?"}]},
        {"singleValueExtendedProperties": [{"id": "nonsense", "value": "x"}]},
        {"importance": "urgent"},
    ],
)
def test_unacceptable_drafts(body: dict[str, object]) -> None:
    """What Graph's types do not allow is refused, and no draft is made."""
    scene = GraphScene()

    assert 400 == scene.post(f"{ANN}/messages", body).status_code
    assert [] == scene.subjects("ann@contoso.example", "drafts")


def test_draft_in_a_given_folder() -> None:
    """A draft can be made in any folder."""
    scene = GraphScene()

    assert 201 == scene.post(f"{ANN}/mailFolders/archive/messages", draft("a@b.example")).status_code
    assert ["Report"] == scene.subjects("ann@contoso.example", "archive")


def test_changing_a_draft() -> None:
    """Content of a draft can be changed, and its MIME text follows; x- headers stay."""
    scene = GraphScene()
    raw = mail("Old", extra="X-Mailgrant-Entry: msg_4\r\n")
    message = scene.call("POST", f"{ANN}/messages", content=encoded(raw), headers={**PLAIN, **IMMUTABLE}).json()["id"]
    changed = scene.call(
        "PATCH", f"{ANN}/messages/{message}", json={"subject": "New", "toRecipients": [recipient("x@y.example")]}
    )
    parsed = mime_of(scene, message)

    assert (200, "New") == (changed.status_code, changed.json()["subject"])
    assert ("New", "x@y.example", "msg_4") == (parsed["Subject"], parsed["To"], parsed["X-Mailgrant-Entry"])


def test_attachments_are_listed_read_and_deleted() -> None:
    """An attachment is listed without content on request, read whole, and can be taken away again."""
    scene = GraphScene()
    message = created(scene, draft("a@b.example", attachments=[FILE, FILE | {"name": "b.txt"}]))
    (first, second) = scene.get(f"{ANN}/messages/{message}/attachments?$select=id,name,size")["value"]
    path = f"{ANN}/messages/{message}/attachments"

    assert ("größe.txt", False) == (first["name"], "contentBytes" in first)
    assert encoded(b"abc") == scene.get(f"{path}/{first['id']}")["contentBytes"]
    assert b"abc" == scene.call("GET", f"{path}/{first['id']}/$value").content
    assert 204 == scene.call("DELETE", f"{path}/{first['id']}").status_code
    assert [second["id"]] == [item["id"] for item in scene.get(path)["value"]]
    assert 404 == scene.call("GET", f"{path}/{first['id']}").status_code


def test_nested_message_is_an_item_attachment() -> None:
    """A forwarded message appears as an itemAttachment: its $value is its MIME text, an expansion shows it whole."""
    scene = GraphScene()
    outer = (
        b"From: a@b.example\r\nSubject: Outer\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n"
        b"--x\r\n\r\nSee below.\r\n--x\r\nContent-Type: message/rfc822\r\n\r\n" + mail("Inner") + b"--x--\r\n"
    )
    mailbox = scene.mailboxes.find("ann@contoso.example")
    assert mailbox is not None
    message = scene.mailboxes.store(mailbox, outer).immutable_id
    (item,) = scene.get(f"{ANN}/messages/{message}/attachments")["value"]
    content = scene.call("GET", f"{ANN}/messages/{message}/attachments/{item['id']}/$value").content

    path = f"{ANN}/messages/{message}/attachments/{item['id']}"
    shown = scene.get(f"{path}?$expand=microsoft.graph.itemAttachment/item")["item"]

    assert ("#microsoft.graph.itemAttachment", "Inner") == (item["@odata.type"], item["name"])
    assert mail("Inner").removesuffix(b"\r\n") == content
    assert ("Inner", "Hi.") == (shown["subject"], shown["body"]["content"].strip())
    assert "item" not in scene.get(path)
    assert 400 == scene.call("GET", f"{path}?$expand=everything").status_code


def test_attachment_post_limit() -> None:
    """A posted attachment has a smaller limit than other requests."""
    scene = GraphScene()
    message = created(scene, draft("a@b.example"))
    too_much = FILE | {"contentBytes": encoded(b"x" * (MAX_POSTED_BYTES * 3 // 4))}

    assert 413 == scene.post(f"{ANN}/messages/{message}/attachments", too_much).status_code


def start_upload(scene: GraphScene, size: int) -> tuple[str, str]:
    """Create a draft and an upload session; return the message's id and the upload URL."""
    message = created(scene, draft("bob@contoso.example"))
    item = {"attachmentType": "file", "name": "big.bin", "size": size}
    answer = scene.post(f"{ANN}/messages/{message}/attachments/createUploadSession", {"AttachmentItem": item})
    assert (201, ["0-"]) == (answer.status_code, answer.json()["nextExpectedRanges"])
    return message, answer.json()["uploadUrl"]


def put(scene: GraphScene, url: str, data: bytes, start: int, total: int, token: str = "") -> tuple[int, str]:
    """Upload one chunk and return the status and the body."""
    headers = {
        "Content-Range": f"bytes {start}-{start + len(data) - 1}/{total}",
        "Content-Type": "application/octet-stream",
    }
    answer = scene.call("PUT", url, content=data, headers=headers, token=token)
    return answer.status_code, answer.text


def test_upload_session() -> None:
    """Sequential chunks become one attachment; the last answer is a Location without a body."""
    scene = GraphScene()
    data = bytes(range(256)) * 10_000
    message, url = start_upload(scene, len(data))
    half = len(data) // 2
    status, body = put(scene, url, data[:half], 0, len(data))
    headers = {"Content-Range": f"bytes {half}-{len(data) - 1}/{len(data)}"}
    last = scene.call("PUT", url, content=data[half:], headers=headers, token="")

    assert (200, True) == (status, f'"nextExpectedRanges":["{half}"]' in body)
    assert (201, b"") == (last.status_code, last.content)
    assert "/Attachments('" in last.headers["location"]
    (item,) = scene.get(f"{ANN}/messages/{message}/attachments?$select=id")["value"]
    assert data == scene.call("GET", f"{ANN}/messages/{message}/attachments/{item['id']}/$value").content


def test_upload_refusals() -> None:
    """Authorization, a wrong token, and chunks out of order or of the wrong size are refused; DELETE cancels."""
    scene = GraphScene()
    size = MIN_SIZE + 100
    _, url = start_upload(scene, size)

    assert 401 == put(scene, url, b"x" * 10, 0, size, token=scene.token)[0]
    assert 401 == put(scene, url + "x", b"x" * 10, 0, size)[0]
    assert 416 == put(scene, url, b"x" * 10, 5, size)[0]
    assert 400 == put(scene, url, b"x" * 10, 0, size + 1)[0]
    assert 204 == scene.call("DELETE", url, token="").status_code
    assert 404 == put(scene, url, b"x" * 10, 0, size)[0]


@pytest.mark.parametrize(
    ("size", "status", "code"),
    [
        (MIN_SIZE - 1, 400, "ErrorAttachmentSizeShouldNotBeLessThanMinimumSize"),
        (36 * 1024 * 1024, 413, "ErrorMessageSizeExceeded"),
        (151 * 1024 * 1024, 400, "ErrorAttachmentSizeLimitExceeded"),
    ],
)
def test_upload_session_sizes(size: int, status: int, code: str) -> None:
    """A session is for files of 2 MB and more, and only for what the mailbox may send."""
    scene = GraphScene()
    message = created(scene, draft("a@b.example"))
    body = {"AttachmentItem": {"attachmentType": "file", "name": "x", "size": size}}
    answer = scene.post(f"{ANN}/messages/{message}/attachments/createUploadSession", body)

    assert (status, code) == (answer.status_code, answer.json()["error"]["code"])
