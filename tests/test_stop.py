"""Signals that ask to save and stop: noted, never lost, and a second Ctrl-C is heard."""

import os
import signal

import pytest

from crlscale.stop import StopRequest


@pytest.mark.parametrize(
    "number, code", [(signal.SIGTERM, 75), (signal.SIGUSR2, 75), (signal.SIGINT, 130)]
)
def test_signal_is_noted_and_decides_the_exit_code(number, code):
    before = signal.getsignal(number)
    with StopRequest() as stop:
        assert stop.wanted is None
        os.kill(os.getpid(), number)
        assert (stop.wanted, stop.exit_code) == (number, code)
    assert signal.getsignal(number) is before


def test_second_ctrl_c_does_not_wait():
    with StopRequest(), pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)


def test_orphan_stops_as_if_told_but_a_signal_came_first():
    with StopRequest() as stop:
        stop.orphaned()
        assert stop.exit_code == 75
    with StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        stop.orphaned()
        assert stop.exit_code == 130


def test_patient_one_notes_the_second_ctrl_c():
    with StopRequest(patient=True) as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        assert not stop.insisted
        os.kill(os.getpid(), signal.SIGINT)
        assert (stop.insisted, stop.exit_code) == (True, 75)
