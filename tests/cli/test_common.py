import os
import signal

import pytest

from tfticket.cli.common import InterruptError, Invocation, columns, interruptible


def test_the_command_that_goes_on_is_the_same_without_fresh():
    given = Invocation(("recipe", "run", "my recipe.toml", "--fresh", "--set", "a.b=1"))
    assert given.again() == "tfticket recipe run 'my recipe.toml' --set a.b=1"


def test_columns_align_texts_left_and_numbers_right():
    rows = [("name", "weights"), ("a", "1,000"), ("longer", "7"), ("b", "12.5 %")]
    assert columns(rows) == [
        "name    weights",
        "a         1,000",
        "longer        7",
        "b        12.5 %",
    ]


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)


@interruptible()
def lose_an_interruption():
    # As TensorFlow does: a list could not be filled, since the interruption came first.
    try:
        interrupt()
    except KeyboardInterrupt:
        raise SystemError("bad argument to internal function") from None


@interruptible()
def say_how_to_go_on():
    try:
        lose_an_interruption()
    except KeyboardInterrupt:
        raise InterruptError("go on") from None


@interruptible()
def fail():
    raise SystemError("its own")


def test_what_an_interruption_became_is_an_interruption():
    with pytest.raises(KeyboardInterrupt) as caught:
        lose_an_interruption()
    assert isinstance(caught.value.__cause__, SystemError)


def test_errors_of_their_own_stay_what_they_are():
    with pytest.raises(SystemError, match="its own"):
        fail()


def test_an_earlier_interruption_is_forgotten():
    with pytest.raises(KeyboardInterrupt), interruptible():
        interrupt()
    with pytest.raises(SystemError, match="its own"):
        fail()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_command_says_how_to_go_on_whatever_stands_around_it():
    with pytest.raises(InterruptError, match="go on"):
        say_how_to_go_on()


def test_who_ignores_it_goes_on_ignoring_it():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interruptible():
            interrupt()
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
