"""Which paths does this Graph answer."""

from __future__ import annotations

from localcloud.graph import (
    attachment_sessions,
    attachments,
    delta,
    drafts,
    folders,
    message_lists,
    messages,
    sending,
    users,
)
from localcloud.graph.calls import Call, Operation
from localcloud.graph.routing import Router
from localcloud.graph.wire import Reply


def _batch(_call: Call) -> Reply:
    raise LookupError("the engine runs batches itself")


_ONE = "{message}"
_USER_ROUTES = (
    ("GET", "users", Operation("users.list", users.list_users, "directory")),
    ("GET", "users/{user}", Operation("users.get", users.get_user, "directory")),
    ("GET", "users/{user}/mailFolders", Operation("folders.list", folders.list_folders)),
    ("POST", "users/{user}/mailFolders", Operation("folders.create", folders.create_folder)),
    ("GET", "users/{user}/mailFolders/{folder}", Operation("folders.get", folders.get_folder)),
    ("PATCH", "users/{user}/mailFolders/{folder}", Operation("folders.patch", folders.patch_folder)),
    ("DELETE", "users/{user}/mailFolders/{folder}", Operation("folders.delete", folders.delete_folder)),
    ("POST", "users/{user}/mailFolders/{folder}/move", Operation("folders.move", folders.move_folder)),
    ("POST", "users/{user}/mailFolders/{folder}/copy", Operation("folders.copy", folders.copy_folder)),
    ("GET", "users/{user}/mailFolders/{folder}/childFolders", Operation("folders.list", folders.list_folders)),
    ("POST", "users/{user}/mailFolders/{folder}/childFolders", Operation("folders.create", folders.create_folder)),
    ("GET", "users/{user}/mailFolders/{folder}/messages/delta", Operation("messages.delta", delta.delta)),
    ("POST", "users/{user}/sendMail", Operation("sendmail", sending.send_mail, "send")),
    ("POST", "$batch", Operation("batch", _batch, "any")),
)
# Below users/{user}/messages and users/{user}/mailFolders/{folder}/messages alike.
_MESSAGE_ROUTES = (
    ("GET", "", Operation("messages.list", message_lists.list_messages)),
    ("POST", "", Operation("messages.create", drafts.create_message)),
    ("GET", _ONE, Operation("messages.get", messages.get_message)),
    ("PATCH", _ONE, Operation("messages.patch", messages.patch_message)),
    ("DELETE", _ONE, Operation("messages.delete", messages.delete_message)),
    ("GET", f"{_ONE}/$value", Operation("messages.value", messages.get_mime)),
    ("POST", f"{_ONE}/move", Operation("messages.move", messages.move_message)),
    ("POST", f"{_ONE}/copy", Operation("messages.copy", messages.copy_message)),
    ("POST", f"{_ONE}/permanentDelete", Operation("messages.delete", messages.delete_for_good)),
    ("POST", f"{_ONE}/send", Operation("messages.send", sending.send_draft, "send")),
    ("POST", f"{_ONE}/reply", Operation("messages.reply", sending.answer("reply", send=True), "send")),
    ("POST", f"{_ONE}/replyAll", Operation("messages.reply", sending.answer("replyAll", send=True), "send")),
    ("POST", f"{_ONE}/forward", Operation("messages.reply", sending.answer("forward", send=True), "send")),
    ("POST", f"{_ONE}/createReply", Operation("messages.reply", sending.answer("reply", send=False))),
    ("POST", f"{_ONE}/createReplyAll", Operation("messages.reply", sending.answer("replyAll", send=False))),
    ("POST", f"{_ONE}/createForward", Operation("messages.reply", sending.answer("forward", send=False))),
    ("GET", f"{_ONE}/attachments", Operation("attachments.list", attachments.list_attachments)),
    ("POST", f"{_ONE}/attachments", Operation("attachments.create", attachments.create_attachment)),
    (
        "POST",
        f"{_ONE}/attachments/createUploadSession",
        Operation("uploads.create", attachment_sessions.create_session),
    ),
    ("GET", f"{_ONE}/attachments/{{attachment}}", Operation("attachments.get", attachments.get_attachment)),
    ("DELETE", f"{_ONE}/attachments/{{attachment}}", Operation("attachments.delete", attachments.delete_attachment)),
    ("GET", f"{_ONE}/attachments/{{attachment}}/$value", Operation("attachments.get", attachments.get_content)),
)


def build_router() -> Router:
    """Return the router over all operations."""
    router = Router()
    for method, pattern, operation in _USER_ROUTES:
        router.add(method, pattern, operation)
    for base in ("users/{user}/messages", "users/{user}/mailFolders/{folder}/messages"):
        for method, pattern, operation in _MESSAGE_ROUTES:
            router.add(method, f"{base}/{pattern}".rstrip("/"), operation)
    return router
