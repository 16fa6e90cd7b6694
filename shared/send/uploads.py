"""Large files: announced, put straight into storage (or in parts through us), and named by the mail that uses them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.codes import Code
from shared.compose.message import File
from shared.compose.mime import encoded_bytes
from shared.connections import Connection
from shared.errors import FieldFault, InvalidRequest, NotFound, TooLarge
from shared.identifiers import is_ulid, new_ulid
from shared.outbox.rows import Upload, upload_key
from shared.ports import Clock, Insert, Table, UploadLinks
from shared.rows import decode, encode
from shared.times import to_text

LINK_SECONDS = 3600.0
PART_BYTES = 4 * 1024 * 1024
MOST_PARTS = 50_000
MEGABYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Announced:
    """A new upload: where to PUT it, and until when."""

    upload: Upload
    put_url: str
    expires_at: str


@dataclass(frozen=True, slots=True)
class Uploads:
    """Uploads of a connection; another connection's are not found."""

    table: Table
    links: UploadLinks
    now: Clock

    def create(self, connection: Connection, name: str, content_type: str, size: int, sha256: str) -> Announced:
        """Announce a file of *size* bytes. Raises `TooLarge` where no mail of this connection could carry it."""
        refuse_oversize(connection, encoded_bytes(size))
        now, ulid = self.now(), new_ulid()
        link = self.links.link(f"{connection.id}/{ulid}", LINK_SECONDS)
        upload = Upload(f"upl_{ulid}", name, content_type, size, sha256, f"{connection.id}/{ulid}", to_text(now))
        self.table.commit(connection.id, [Insert(upload_key(upload.id), encode(upload))])
        return Announced(upload, link, to_text(now + timedelta(seconds=LINK_SECONDS)))

    def put_part(self, connection: Connection, upload_id: str, number: int, content: bytes) -> None:
        """Stage part *number* (from 1). Raises `NotFound` for an upload that is not this connection's, `TooLarge`."""
        upload = self._get(connection, upload_id)
        if upload is None:
            raise NotFound("There is no such upload. Announce it with POST /api/uploads.")
        if len(content) > PART_BYTES:
            raise TooLarge("A part holds at most 4 MB. Send smaller parts, numbered from 1.")
        if not 1 <= number <= MOST_PARTS or not content:
            detail = f"Parts are numbered from 1 to {MOST_PARTS} and are not empty."
            raise InvalidRequest(detail, [FieldFault("/n", "out_of_range", detail)])
        self.links.stage(upload.blob, number, content)

    def resolve(self, connection: Connection, files: Sequence[File]) -> tuple[File, ...]:
        """
        Return *files* with each upload's name, type, size and blob filled in, its parts joined.

        Raises `InvalidRequest` naming every upload that is unknown or not complete.
        """
        found, faults = [], []
        for number, file in enumerate(files):
            known = self._resolved(connection, file) if file.upload_id else file
            if isinstance(known, File):
                found.append(known)
            else:
                faults.append(replace(known, pointer=f"/attachments/{number}/upload_id"))
        if faults:
            raise InvalidRequest("A file of the mail is not there. See errors for each.", faults)
        return tuple(found)

    def _resolved(self, connection: Connection, file: File) -> File | FieldFault:
        upload = self._get(connection, file.upload_id)
        if upload is None:
            return FieldFault("", "unknown_upload", "there is no such upload")
        size = self.links.complete(upload.blob, upload.size)
        if size is None:
            return FieldFault("", "upload_missing", "the file was announced, but not put into storage yet")
        if size != upload.size:
            message = f"{size} bytes are in storage, but {upload.size} were announced"
            return FieldFault("", "upload_incomplete", message)
        return replace(
            file,
            name=file.name or upload.name,
            content_type=upload.content_type,
            size=size,
            blob=upload.blob,
            sha256=upload.sha256,
        )

    def _get(self, connection: Connection, upload_id: str) -> Upload | None:
        if not upload_id.startswith("upl_") or not is_ulid(upload_id.removeprefix("upl_")):
            return None
        row = self.table.get(connection.id, upload_key(upload_id))
        return decode(Upload, row.values) if row else None


def refuse_oversize(connection: Connection, size: int) -> None:
    """Raise `TooLarge` for a mail of *size* encoded bytes that the connection's mailbox would not send."""
    if size <= connection.max_message_mb * MEGABYTE:
        return
    detail = (
        f"Encoded for mail this takes {-(-size // MEGABYTE)} MB, and the mailbox sends at most "
        f"{connection.max_message_mb} MB. An Exchange administrator can raise the mailbox's limit to 150 MB; "
        "then set the connection's max_message_mb."
    )
    raise TooLarge(detail, Code.MESSAGE_EXCEEDS_MAILBOX_LIMIT)


def used(upload_ids: Sequence[str], now: datetime) -> list[tuple[str, str]]:
    """Return the keys of uploads that a mail uses, each once, with the time of that."""
    return [(upload_key(upload_id), to_text(now)) for upload_id in dict.fromkeys(upload_ids) if upload_id]
