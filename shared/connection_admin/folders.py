"""Which folder a connection means, and whether another connection has it already."""

from collections.abc import Mapping, Sequence

from shared.codes import Code
from shared.connection_admin.rules import AskedAction
from shared.connections import Action, AfterFetch, Connection, Direction
from shared.errors import Conflict, FieldFault, InvalidRequest, ItemFault
from shared.ports import GraphDirectory, GraphMailbox, Row
from shared.rows import readable

_TAKEN = (
    "Another incoming connection reads this folder of the mailbox ({}). Delete it first, or give both the action none."
)


def refuse_taken_folder(connection: Connection, rows: Mapping[str, Row]) -> None:
    """Raise `Conflict` (folder_in_use) where another connection reads the folder and either one changes mail."""
    if connection.direction is not Direction.INCOMING:
        return
    for other in incoming_of(connection.box, rows):
        quiet = connection.after_fetch.action is Action.NONE and other.after_fetch.action is Action.NONE
        if other.id != connection.id and other.folder_id == connection.folder_id and not quiet:
            raise Conflict(_TAKEN.format(other.id), Code.FOLDER_IN_USE)


def incoming_of(box: str, rows: Mapping[str, Row]) -> Sequence[Connection]:
    """Return the incoming connections among the rows of a mailbox."""
    found = [readable(Connection, key, row.values) for key, row in rows.items() if key.startswith(f"b|{box}|conn|")]
    return [connection for connection in found if connection and connection.direction is Direction.INCOMING]


def resolve_folder(directory: GraphDirectory, mailbox: GraphMailbox, name: str, pointer: str) -> tuple[str, str]:
    """Return id and display name of a folder. Raises `InvalidRequest` where there is none."""
    try:
        folder = directory.folder(mailbox, name)
    except ItemFault as fault:
        raise InvalidRequest(fault.detail, [FieldFault(pointer, fault.code.value, fault.detail)], fault.code) from None
    return folder.id, folder.name


def resolve_action(directory: GraphDirectory, mailbox: GraphMailbox, asked: AskedAction) -> AfterFetch:
    """Return what is to become of fetched messages, its folder resolved; ``delete`` moves to Deleted Items."""
    name = "deleteditems" if asked.action is Action.DELETE else asked.folder
    if not name:
        return AfterFetch(asked.action)
    folder_id, folder_name = resolve_folder(directory, mailbox, name, "/after_fetch/folder")
    return AfterFetch(asked.action, folder_id, folder_name)
