"""Signals that ask a process to save and stop; a launcher and a run hear them in the same way.

A handler only notes what was asked. An exception raised from one could strike anywhere, also
between the two halves of a lock, and leave a process that waits for ever.
"""

import signal

EXIT_STOPPED, EXIT_INTERRUPTED = 75, 130


class StopRequest:
    """Catches SIGINT, SIGTERM and SIGUSR2 while it is open; who works asks `wanted` now and then.

    A second Ctrl-C raises KeyboardInterrupt, or with `patient` is only noted in `insisted`."""

    def __init__(self, patient: bool = False):
        self.wanted: int | None = None
        self.insisted = False
        self._patient = patient

    def __enter__(self):
        names = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2)
        self._before = {number: signal.signal(number, self._note) for number in names}
        return self

    def __exit__(self, *_):
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number, _frame) -> None:
        if self.wanted is None:
            self.wanted = number
        elif number == signal.SIGINT:
            self.insisted = True
            if not self._patient:
                raise KeyboardInterrupt

    def orphaned(self) -> None:
        """The launcher is gone: stop as if it had said so."""
        if self.wanted is None:
            self.wanted = signal.SIGTERM

    @property
    def exit_code(self) -> int:
        """130 after Ctrl-C, else 75: stopped and resumable."""
        return EXIT_INTERRUPTED if self.wanted == signal.SIGINT else EXIT_STOPPED
