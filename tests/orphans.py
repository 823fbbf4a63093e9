"""Waiting for processes to end, for the tests that kill or leave some."""

import time

import psutil


def gone(pid):
    # where nobody reaps orphans, a killed one stays as a zombie
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def wait_for(condition, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()
