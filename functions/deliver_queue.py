"""The queue of deliver: whoever is woken works on what the record asks for, be it mail or notices."""

import azure.functions as func

from functions.watch import Watch, nobody
from functions.woken import woken
from shared.deliver.notices import Notices
from shared.deliver.run import Deliver
from shared.schedule import DELIVER, NOTICE, QUEUES


def blueprint(deliver: Deliver, notices: Notices, watch: Watch = nobody) -> func.Blueprint:
    """Return the function; trouble with storage is raised, so that the host tries again. Each time *watch* is told."""
    bp = func.Blueprint()

    @bp.function_name("deliver_run")
    @bp.queue_trigger(arg_name="msg", queue_name=QUEUES[DELIVER], connection="MAIL_STORAGE")
    def run(msg: func.QueueMessage) -> None:
        watch()
        with woken(msg) as wakeup:
            if wakeup.kind == NOTICE:
                notices.run(wakeup)
            else:
                notices.hand_on(wakeup.id)
                deliver.run(wakeup)

    return bp
