"""The queue of mail to send: whoever is woken drains the mailbox."""

import json

import azure.functions as func

from functions.watch import Watch, nobody
from shared.schedule import QUEUES, SEND, Wakeup
from shared.send.drain import Drain


def blueprint(drain: Drain, watch: Watch = nobody) -> func.Blueprint:
    """Return the function; trouble with storage is raised, so that the host tries again. Each time *watch* is told."""
    bp = func.Blueprint()

    @bp.function_name("send_drain")
    @bp.queue_trigger(arg_name="msg", queue_name=QUEUES[SEND], connection="MAIL_STORAGE")
    def send(msg: func.QueueMessage) -> None:
        watch()
        drain.run(Wakeup.from_body(json.loads(msg.get_body())))

    return bp
