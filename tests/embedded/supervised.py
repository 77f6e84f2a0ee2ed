"""A supervisor to be tested from outside: `supervised.py HOME NAME=COMMAND …` prints READY when all have started.

A program whose name ends in `?` never becomes ready.
"""

import operator
import sys
from functools import partial

from warden.embedded.home import Home
from warden.embedded.processes import Program, StartError
from warden.embedded.supervisor import Stopped, Supervisor

programs = [word.split("=", 1) for word in sys.argv[2:]]
with Supervisor(Home(sys.argv[1])) as supervisor:
    try:
        for name, command in programs:
            never = name.endswith("?")
            supervisor.start(Program(name, ("sh", "-c", command), grace=0.5, ready=partial(operator.not_, never)))
        print("READY", flush=True)
        supervisor.watch()
    except Stopped:
        print("STOPPED", flush=True)
    except StartError as error:
        print(error, flush=True)
