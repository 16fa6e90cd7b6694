"""One function per poison queue: the record of the failed wake-up is followed, the message is done with."""

import azure.functions as func

from shared.poison import Poison
from shared.schedule import QUEUES


def blueprint(poison: Poison) -> func.Blueprint:
    """Return a function for the poison queue of every work queue, such as ``poison_mail_fetch``."""
    bp = func.Blueprint()
    for queue in sorted(set(QUEUES.values())):
        _add(bp, poison, queue)
    return bp


def _add(bp: func.Blueprint, poison: Poison, queue: str) -> None:
    @bp.function_name(f"poison_{queue.replace('-', '_')}")
    @bp.queue_trigger(arg_name="msg", queue_name=f"{queue}-poison", connection="MAIL_STORAGE")
    def follow(msg: func.QueueMessage) -> None:
        poison.found(queue, msg.get_body())
