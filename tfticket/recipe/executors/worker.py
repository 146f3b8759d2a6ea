"""A process that does tasks; its argument is the DESCRIPTOR of a connection.

It is started by `processes`, and ends when the process that started it does, however that ends.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
from multiprocessing.connection import Connection

from tfticket.recipe.executors.doing import Setup, TaskDoer
from tfticket.recipe.tasks import Task


def main(descriptor: int) -> None:
    """Does tasks until there are no more.

    Args:
        descriptor: Of a connection that gives a `Setup`, then tasks, then None, and takes events.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started this one ends it
    connection = Connection(descriptor)
    setup: Setup = connection.recv()
    tasks: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(connection, tasks), daemon=True).start()
    doer = TaskDoer(setup, connection.send)
    while (task := tasks.get()) is not None:
        connection.send(doer.do(task))


def _receive(connection: Connection, tasks: queue.SimpleQueue[Task | None]) -> None:
    """Takes tasks in a thread of its own, which so hears of it when nobody is there any more."""
    try:
        while True:
            tasks.put(connection.recv())
    except (EOFError, OSError):
        os._exit(1)  # in the middle of a training: nothing else would stop it


if __name__ == "__main__":
    main(int(sys.argv[1]))
