"""`python -m warden.embedded run [--no-demo]` and `python -m warden.embedded manage COMMAND …`."""

import argparse
import sys

from warden.embedded.processes import StartError
from warden.embedded.run import manage, run


def main() -> int:
    if sys.argv[1:2] == ["manage"]:  # everything after it belongs to the command, --help included
        return manage(sys.argv[2:])
    parser = argparse.ArgumentParser(
        prog="script/run",
        description="Start Warden with everything it needs. HOST (127.0.0.1), PORT (8000), WARDEN_HOME (var), "
        "DATABASE_URL and REDIS_URL (embedded ones) come from the environment.",
    )
    parser.add_argument("command", choices=["run"], help=argparse.SUPPRESS)
    parser.add_argument(
        "--no-demo", action="store_true", help="begin empty instead of with a demonstration organization"
    )
    return run(demo=not parser.parse_args().no_demo)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except StartError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)
