"""`make chaos ROUNDS=100 SEED=7`: kills for as long as wanted, in every shape or in one."""

from __future__ import annotations

import argparse
import secrets
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from tests.chaos import rounds, servers
from tests.chaos.stack import SHAPES, stack


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, help="in each shape")
    parser.add_argument("--kills", type=int, default=5, help="in each round")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    parser.add_argument("--shape", choices=SHAPES, action="append")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_signal: sys.exit("stopped"))  # all that was started is ended, too
    for shape in given.shape or SHAPES:
        if name := servers.missing(broker=SHAPES[shape]):
            sys.exit(f"{shape}: {name} is needed and was not found")
        print(f"{shape}, seed {given.seed}", flush=True)  # noqa: T201
        folder = Path(tempfile.mkdtemp(prefix="portal-chaos-"))
        folder.chmod(0o755)
        with stack(shape, folder) as started:
            rounds.run(started, seed=given.seed, rounds=given.rounds, kills=given.kills, told=_say)
        shutil.rmtree(folder)  # after a failure it stays, with the logs


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
