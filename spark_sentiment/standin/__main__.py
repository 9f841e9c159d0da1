# ruff: noqa: T201 - the command prints its address
"""Serve a local AWS: ``python -m spark_sentiment.standin [--port 5055] [-- COMMAND ...]``.

Without a command, it serves until Ctrl-C. With a command, it serves while the command runs, and
exits with its status. The environment of the command has the address of the stand-in, and no
settings of a real account.
"""

import argparse
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence

from spark_sentiment.errors import SetupError
from spark_sentiment.standin.errors import StandInError
from spark_sentiment.standin.service import StandIn


def variables(aws: StandIn) -> dict[str, str]:
    """Return the environment variables with which the AWS SDKs call the stand-in.

    Examples
    --------
    >>> aws = StandIn()
    >>> aws.url = "http://127.0.0.1:5055"
    >>> variables(aws)["AWS_ENDPOINT_URL"]
    'http://127.0.0.1:5055'
    """
    return {
        "AWS_ENDPOINT_URL": aws.url,
        "AWS_ACCESS_KEY_ID": "stand-in",
        "AWS_SECRET_ACCESS_KEY": "of-no-account",
        "AWS_REGION": aws.region,
        "AWS_DEFAULT_REGION": aws.region,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the stand-in, and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m spark_sentiment.standin", description="Serve a local AWS."
    )
    parser.add_argument("--port", type=int, default=5055, help="port to listen on; 0 for any")
    parser.add_argument(
        "--seconds", type=float, default=0.5, help="seconds that each state of a resource lasts"
    )
    parser.add_argument(
        "command", nargs="*", metavar="-- COMMAND", help="command to run while it serves"
    )
    given = parser.parse_args(arguments)
    try:
        aws = StandIn(seconds=given.seconds, port=given.port).start()
    except (StandInError, SetupError) as error:
        print(error, file=sys.stderr)
        return 1
    try:
        return _run(given.command, aws) if given.command else _serve(aws)
    finally:
        aws.stop()


def _serve(aws: StandIn) -> int:
    asked = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: asked.set())
    print(f"A local AWS serves at {aws.url}, with the bucket {aws.bucket}; Ctrl-C ends it.")
    for name, value in variables(aws).items():
        print(f"export {name}={value}", flush=True)
    asked.wait()
    return 0


def _run(command: list[str], aws: StandIn) -> int:
    # The command must not see settings of a real account.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    try:
        running = subprocess.Popen(command, env=inherited | variables(aws))
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr)
        return 127
    # The terminal sends SIGINT to the command too.
    before = signal.signal(signal.SIGINT, lambda *_: None)
    before_term = signal.signal(signal.SIGTERM, lambda *_: running.terminate())
    status = running.wait()
    signal.signal(signal.SIGINT, before)
    signal.signal(signal.SIGTERM, before_term)
    return status if status >= 0 else 128 - status  # a shell's status for a signal


if __name__ == "__main__":
    sys.exit(main())
