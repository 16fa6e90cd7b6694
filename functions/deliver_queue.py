"""The queue of deliver: whoever is woken works on what the record asks for."""

import json

import azure.functions as func

from shared.deliver.run import Deliver
from shared.schedule import DELIVER, QUEUES, Wakeup


def blueprint(deliver: Deliver) -> func.Blueprint:
    """Return the function; trouble with storage is raised, so that the host tries again."""
    bp = func.Blueprint()

    @bp.function_name("deliver_run")
    @bp.queue_trigger(arg_name="msg", queue_name=QUEUES[DELIVER], connection="MAIL_STORAGE")
    def run(msg: func.QueueMessage) -> None:
        deliver.run(Wakeup.from_body(json.loads(msg.get_body())))

    return bp
