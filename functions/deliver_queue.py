"""The queue of deliver: whoever is woken works on what the record asks for, be it mail or notices."""

import json

import azure.functions as func

from functions.watch import Watch, nobody
from shared.deliver.notices import Notices
from shared.deliver.run import Deliver
from shared.schedule import DELIVER, NOTICE, QUEUES, Wakeup


def blueprint(deliver: Deliver, notices: Notices, watch: Watch = nobody) -> func.Blueprint:
    """Return the function; trouble with storage is raised, so that the host tries again. Each time *watch* is told."""
    bp = func.Blueprint()

    @bp.function_name("deliver_run")
    @bp.queue_trigger(arg_name="msg", queue_name=QUEUES[DELIVER], connection="MAIL_STORAGE")
    def run(msg: func.QueueMessage) -> None:
        watch()
        wakeup = Wakeup.from_body(json.loads(msg.get_body()))
        if wakeup.kind == NOTICE:
            notices.run(wakeup)
        else:
            notices.hand_on(wakeup.id)
            deliver.run(wakeup)

    return bp
