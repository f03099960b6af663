"""Stopping a training between two steps, when the terminal or the system asks."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator


class Interrupted(KeyboardInterrupt):
    """Training was asked to stop. Everything up to `step` is saved and `--resume` goes on from there.

    A KeyboardInterrupt, so that nothing that handles errors mistakes it for one.
    """

    def __init__(self, step: int, steps: int):
        self.step = step
        super().__init__(f"stopped after step {step} of {steps}")


@contextlib.contextmanager
def stop_requested() -> Iterator[threading.Event]:
    """Turns SIGINT and SIGTERM into a flag that the loop reads between steps.

    A second signal acts at once. Outside the main thread Python allows no handlers, and none are set.
    """
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    signals = (signal.SIGINT, signal.SIGTERM)
    previous = {number: signal.getsignal(number) for number in signals}

    def request(number: int, _frame: object) -> None:
        stop.set()
        signal.signal(number, previous[signal.Signals(number)])

    for number in signals:
        signal.signal(number, request)
    try:
        yield stop
    finally:
        for number in signals:
            signal.signal(number, previous[number])
