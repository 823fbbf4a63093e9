"""What the tests of engines let workers do; in a module that worker processes can import."""

import os
import signal
import time


def scaled(number, factor):
    return {"value": number * factor, "half": number / 2}


def dying_once(number, marker):
    """Kill the worker that first comes here with 3."""
    if number == 3 and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return scaled(number, 10)


def dying(number):
    os.kill(os.getpid(), signal.SIGKILL)


class Refused(Exception):
    def __init__(self, number, why):
        super().__init__(number, why)
        self.number = number


def refusing(number):
    if number == 2:
        raise Refused(number, "not this one")
    return number


def napping(number, folder):
    """Leave this process's id, then sleep if the number is not 0."""
    (folder / f"{number}.part").write_text(str(os.getpid()))
    (folder / f"{number}.part").rename(folder / f"{number}.pid")
    time.sleep(60 * number)
    return number


def environment(name):
    return os.environ.get(name)


class Pickled:
    """Counts how often it is pickled."""

    count = 0

    def __reduce__(self):
        Pickled.count += 1
        return (str, ("arrived",))


def both(number, shared):
    return number, shared
