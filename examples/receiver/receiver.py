"""
A receiver of Mailgrant's webhooks: verifies each event, drops repeats by webhook-id, stores it, then answers 204.

    pip install standardwebhooks
    WEBHOOK_SECRET=whsec_… FOLDER=events PORT=9000 python receiver.py

The secret is the `signing_secret` that creating the connection answered with.
"""

import os
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import NamedTemporaryFile

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

MAX_BYTES = 8 * 1024 * 1024
SECONDS = 20  # after which a caller that says nothing is dropped
ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}")


def store(folder: Path, event_id: str, body: bytes) -> bool:
    """Put the event into *folder*, whole or not at all; return False where it is there already."""
    with NamedTemporaryFile(dir=folder, prefix=".", suffix=".part", delete=False) as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(file.name, folder / f"{event_id}.json")  # in one step; fails where the name is taken
    except FileExistsError:
        return False
    finally:
        Path(file.name).unlink()
    return True


class Receiver(BaseHTTPRequestHandler):
    """Answers 401 to what is not signed, 204 once an event is stored; any other answer brings it again later."""

    webhook: Webhook
    folder: Path
    timeout = SECONDS

    def do_POST(self) -> None:
        """Take one event."""
        size = self.headers.get("Content-Length", "")
        if not size.isdecimal() or int(size) > MAX_BYTES:
            return self.answer(413)
        body = self.rfile.read(int(size))
        event_id = self.headers.get("webhook-id", "")
        try:
            self.webhook.verify(body, dict(self.headers.items()))
        except (WebhookVerificationError, ValueError):
            return self.answer(401)
        if not ID.fullmatch(event_id):
            return self.answer(400)
        is_new = store(self.folder, event_id, body)
        print("stored" if is_new else "repeat", event_id, flush=True)
        return self.answer(204)

    def answer(self, status: int) -> None:
        """Answer without a body."""
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing more than what was stored."""


def main() -> None:
    """Listen until Ctrl-C; put a proxy with a certificate in front, for Mailgrant calls https."""
    Receiver.webhook = Webhook(os.environ["WEBHOOK_SECRET"])
    Receiver.folder = Path(os.environ.get("FOLDER", "events"))
    Receiver.folder.mkdir(parents=True, exist_ok=True)
    ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "9000"))), Receiver).serve_forever()


if __name__ == "__main__":
    main()
