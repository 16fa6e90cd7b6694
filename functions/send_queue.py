"""The queue of mail to send: whoever is woken drains the mailbox."""

import azure.functions as func

from functions.watch import Watch, nobody
from functions.woken import woken
from shared.schedule import QUEUES, SEND
from shared.send.drain import Drain


def blueprint(drain: Drain, watch: Watch = nobody) -> func.Blueprint:
    """Return the function; trouble with storage is raised, so that the host tries again. Each time *watch* is told."""
    bp = func.Blueprint()

    @bp.function_name("send_drain")
    @bp.queue_trigger(arg_name="msg", queue_name=QUEUES[SEND], connection="MAIL_STORAGE")
    def send(msg: func.QueueMessage) -> None:
        watch()
        with woken(msg) as wakeup:
            drain.run(wakeup)

    return bp
