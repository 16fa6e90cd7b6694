"""
What to do with a page that fails as a whole: one message that Graph cannot read makes it answer 500 for all of them.

The page is asked for in ever smaller parts, so that everything before the ill message comes through.
"""

import logging
from collections.abc import Callable

from shared.codes import Code
from shared.errors import Fault, ItemFault, Unreachable
from shared.fetch.job import Job
from shared.ports import DeltaPage

log = logging.getLogger("mailgrant.fetch")

STEP = 4


def bisected(job: Job, most: int, get: Callable[[int], DeltaPage]) -> DeltaPage:
    """
    Return a page of at most *most* messages, or of fewer where a page of so many fails as a whole, down to one.

    Raises the fault of a page of one message. Pages grow again as soon as they succeed.
    """
    size = job.page_size or most
    while True:
        try:
            page = get(size)
        except Fault as fault:
            if size == 1 or not bisects(job, fault):
                raise
            size = max(1, size // STEP)
            job.page_size = size
            log.warning("fetch.bisect connection_id=%s size=%d", job.connection.id, size)
        else:
            job.page_size = size * STEP if size * STEP < most else 0
            return page


def bisects(job: Job, fault: Fault) -> bool:
    """Tell whether a page is to be taken apart: not at the first failure, which may be an outage that passes."""
    known = job.bisecting or job.page_size or job.run.failures or job.run.light or job.run.holes
    return bool(known) and fails_as_a_whole(fault)


def fails_as_a_whole(fault: Fault) -> bool:
    """Tell whether the mailbox itself could not make a page: Graph says so by a code of its own, and names no wait."""
    if isinstance(fault, Unreachable):
        return fault.microsoft.code != "" and fault.retry_after is None
    return isinstance(fault, ItemFault) and fault.code == Code.MESSAGE_REFUSED
