"""The host's own file is removed, by itself, while workers have it open and its log beside it stays."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.builders.daemon import ENVIRONMENT, ROOT
from tidegate.store.database import FOLDER, NAME, SIDES

WORKER = """
import sys

import structlog

structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))

from tests.builders.charges import a_charge
from tidegate.store.database import Database
from tidegate.store.sqlite import SqliteCounters

counters = SqliteCounters(Database(sys.argv[1]))
for line in sys.stdin:
    for number in range(300):
        counters.charge((a_charge(1000, key=f"{sys.argv[2]}{number}"),), "", True)
    print(counters.charge((a_charge(1000),), "", True)[0].usage.used, flush=True)
"""


@pytest.mark.parametrize("left", [SIDES, SIDES[:1], SIDES[1:], ()], ids=["both", "the log", "its index", "none"])
def test_what_is_left_beside_it_is_no_part_of_the_new_one(tmp_path: Path, left: tuple[str, ...]) -> None:
    """Both workers go on counting, in a new file, and in the same one."""
    with ExitStack() as stack:
        workers = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", WORKER, str(tmp_path), name],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    text=True,
                    env=ENVIRONMENT,
                    cwd=ROOT,
                )
            )
            for name in ("one", "two")
        ]

        def used(worker: subprocess.Popen[str]) -> str:
            assert worker.stdin is not None
            assert worker.stdout is not None
            worker.stdin.write("on\n")
            worker.stdin.flush()
            return worker.stdout.readline().strip()

        assert ["0", "1"] == [used(worker) for worker in workers]
        folder = tmp_path / FOLDER
        (folder / NAME).unlink()
        for side in SIDES:
            if side not in left:
                (folder / side).unlink()
        assert ["0", "1", "2", "3"] == [used(worker) for worker in workers * 2]
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.close()
