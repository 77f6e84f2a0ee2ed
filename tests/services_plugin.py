"""One PostgreSQL and one Valkey for a test run, in a folder that goes when it ends.

`start()` runs while the settings are loaded (tests/settings.py), which pytest-django does before any conftest is read.
DATABASE_URL and REDIS_URL in the environment replace the two. Of processes that share the tests each has its own.
Nothing survives the run: it is stopped at exit and on SIGTERM, and the kernel stops the servers if we are killed.
"""

import atexit
import os
import shutil
import signal
import tempfile
from contextlib import ExitStack

from warden.embedded.home import Home
from warden.embedded.services import services

MADE = "WARDEN_TEST_SERVICES"  # names of what is in the environment because a test run put it there

_running = ExitStack()


def start() -> None:
    """Start both and describe them in the environment, for the settings and for every process a test starts."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell's background job: what tests start would inherit it
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if "PYTEST_XDIST_WORKER" in os.environ:
        for name in os.environ.pop(MADE, "").split():
            del os.environ[name]
    folder = tempfile.mkdtemp(prefix="warden-test-")
    _running.callback(shutil.rmtree, folder, ignore_errors=True)
    atexit.register(_running.close)
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: a SystemExit would fail one test only
    addresses = _running.enter_context(services(Home(folder), durable=False))
    os.environ |= {"WARDEN_ENV": "test", "WARDEN_HOME": folder}
    ours = {
        "DATABASE_URL": addresses.database_url,
        "REDIS_URL": addresses.redis_url,
        "SECRET_KEY": "for tests only: nothing it signs outlives them",
        "SITE_URL": "http://127.0.0.1:8000",
    }
    ours = {name: value for name, value in ours.items() if not os.environ.keys() & {name, f"{name}_FILE"}}
    os.environ |= ours
    if "PYTEST_XDIST_WORKER" not in os.environ:  # what a worker starts is to find the worker's
        os.environ[MADE] = " ".join(ours)
