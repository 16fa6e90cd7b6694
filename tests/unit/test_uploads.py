"""Large files: announced, put into storage, named by a mail, and attached byte for byte."""

import hashlib

import pytest

from shared.codes import Code
from shared.compose.message import File
from shared.errors import InvalidRequest, NotFound, TooLarge
from shared.outbox.work import Status
from tests.scenes.sending import MAIL, Sending

CONTENT = bytes(range(256)) * 20_000  # 5 MB


def announce(scene: Sending, size: int = len(CONTENT), sha256: str = "") -> str:
    """Announce a file and return its upload id."""
    return scene.uploads.create(scene.connection, "a.bin", "application/zip", size, sha256).upload.id


def put(scene: Sending, upload_id: str, content: bytes = CONTENT) -> None:
    """Put the whole file by the link, as a caller does."""
    scene.blobs.uploads.put(f"{scene.connection.id}/{upload_id.removeprefix('upl_')}", content)


def named(upload_id: str) -> tuple[File, ...]:
    """Return the attachment that names an upload."""
    return (File("", "", 0, upload_id=upload_id),)


def test_a_link_names_one_blob_of_the_connection_for_an_hour() -> None:
    """Nobody can put a file among those of another connection."""
    scene = Sending()
    made = scene.uploads.create(scene.connection, "a.bin", "application/zip", 5, "")

    assert f"/uploads/{scene.connection.id}/{made.upload.id.removeprefix('upl_')}?for=3600" in made.put_url
    assert "2026-03-02T10:30:15.000Z" == made.expires_at


def test_an_uploaded_file_is_attached_through_a_session() -> None:
    """5 MB do not fit into a request, so they go in chunks, whole and under their name."""
    scene = Sending()
    upload_id = announce(scene, sha256=hashlib.sha256(CONTENT).hexdigest())
    put(scene, upload_id)
    entry = scene.finish(scene.accept(MAIL.with_files(named(upload_id))))

    assert (Status.ACCEPTED, 1) == (entry.status, scene.exchange.calls["attach_large"])
    assert (("a.bin", len(CONTENT)),) == next(iter(scene.exchange.items.values())).files
    assert entry.size > len(CONTENT) * 4 / 3


def test_a_small_upload_is_attached_by_one_request() -> None:
    """Sessions are for files that a request cannot carry."""
    scene = Sending()
    upload_id = announce(scene, 9)
    put(scene, upload_id, b"123456789")
    scene.finish(scene.accept(MAIL.with_files(named(upload_id))))

    assert (1, 0) == (scene.exchange.calls["attach"], scene.exchange.calls["attach_large"])


def test_parts_are_joined_in_their_order_when_the_mail_is_accepted() -> None:
    """Where storage is private, parts of 4 MB go through us."""
    scene = Sending()
    upload_id = announce(scene)
    scene.uploads.put_part(scene.connection, upload_id, 2, CONTENT[4_000_000:])
    scene.uploads.put_part(scene.connection, upload_id, 1, CONTENT[:4_000_000])
    scene.accept(MAIL.with_files(named(upload_id)))

    assert CONTENT == next(iter(scene.blobs.uploads.contents.values()))


def test_every_upload_that_is_not_there_is_named() -> None:
    """Unknown, foreign, empty and incomplete ones, each with its pointer."""
    scene = Sending()
    other = Sending()
    missing, partial = announce(scene), announce(scene)
    scene.uploads.put_part(scene.connection, partial, 1, CONTENT[:1000])
    files = [*named("upl_x"), *named(announce(other)), *named(missing), *named(partial)]
    with pytest.raises(InvalidRequest) as caught:
        scene.accept(MAIL.with_files(tuple(files)))

    codes = [fault.code for fault in caught.value.faults]
    assert ["unknown_upload", "unknown_upload", "upload_missing", "upload_incomplete"] == codes
    assert "/attachments/3/upload_id" == caught.value.faults[3].pointer


def test_a_part_may_follow_after_a_mail_was_sent_too_early() -> None:
    """Parts that are not all there are not joined."""
    scene = Sending()
    upload_id = announce(scene)
    scene.uploads.put_part(scene.connection, upload_id, 1, CONTENT[:4_000_000])
    with pytest.raises(InvalidRequest):
        scene.accept(MAIL.with_files(named(upload_id)))
    scene.uploads.put_part(scene.connection, upload_id, 2, CONTENT[4_000_000:])

    assert Status.QUEUED == scene.entry(scene.accept(MAIL.with_files(named(upload_id)))).status


@pytest.mark.parametrize("change", ["hash", "size", "gone"])
def test_a_file_that_changed_after_acceptance_is_never_sent(change: str) -> None:
    """The mail fails and says so; no draft of it stays behind."""
    scene = Sending()
    upload_id = announce(scene, sha256=hashlib.sha256(CONTENT).hexdigest())
    put(scene, upload_id)
    entry_id = scene.accept(MAIL.with_files(named(upload_id)))
    blob = next(iter(scene.blobs.uploads.contents))
    changed = {"hash": b"x" + CONTENT[1:], "size": CONTENT[:-1], "gone": None}[change]
    if changed is None:
        scene.blobs.uploads.delete(blob)
    else:
        scene.blobs.uploads.contents[blob] = changed
    entry = scene.finish(entry_id)

    assert (Status.FAILED, [], 0) == (entry.status, scene.exchange.drafts(), scene.exchange.copies[entry_id])


def test_a_file_too_large_for_the_mailbox_is_refused_when_it_is_announced() -> None:
    """Nobody uploads 100 MB in vain."""
    with pytest.raises(TooLarge) as caught:
        announce(Sending(), 100_000_000)
    assert Code.MESSAGE_EXCEEDS_MAILBOX_LIMIT == caught.value.code

    assert announce(Sending(max_message_mb=150), 100_000_000).startswith("upl_")


def test_parts_are_refused_where_they_cannot_be_meant() -> None:
    """Foreign uploads, part 0, empty parts, parts over 4 MB."""
    scene = Sending()
    upload_id = announce(scene)
    with pytest.raises(NotFound):
        scene.uploads.put_part(scene.make(), upload_id, 1, b"x")
    for number, content in ((0, b"x"), (1, b""), (50_001, b"x")):
        with pytest.raises(InvalidRequest):
            scene.uploads.put_part(scene.connection, upload_id, number, content)
    with pytest.raises(TooLarge):
        scene.uploads.put_part(scene.connection, upload_id, 1, bytes(4 * 1024 * 1024 + 1))
