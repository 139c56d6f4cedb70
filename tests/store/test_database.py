"""The host's own file: shared, healed, and given up in time where it can't be had."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.builders.charges import a_charge
from tidegate.store.counting import UncountedError
from tidegate.store.database import FOLDER, NAME, Database
from tidegate.store.sqlite import Known, SqliteCounters

HOUR = 3_600_000


def used(state: Path, **more: float) -> int:
    """What a new process would see in bob's counter; it charges one."""
    return SqliteCounters(Database(str(state), **more)).charge((a_charge(100),), "", True)[0].usage.used


def the_file(state: Path) -> Path:
    """Where it is."""
    return state / FOLDER / NAME


def test_counters_survive_a_restart(tmp_path: Path) -> None:
    """They are in the state directory."""
    assert [0, 1, 2] == [used(tmp_path) for _ in range(3)]


@pytest.mark.parametrize("sound", [0, 100], ids=["all of it", "all but its head"])
def test_a_damaged_file_is_set_aside(sound: int, tmp_path: Path) -> None:
    """No message is lost to it: it is counted in a new one, the old is kept for a person, and it is told. A worker that
    has the old one open goes over to the new one."""
    working = SqliteCounters(Database(str(tmp_path)))
    working.charge((a_charge(),), "", True)
    database = Database(str(tmp_path))
    database.tend(0)  # all of it is in the file itself
    database.close()
    path = the_file(tmp_path)
    data = path.read_bytes()[:sound].ljust(len(path.read_bytes()), b"\xa5")
    with path.open("r+b") as file:
        file.write(data)
    assert 0 == SqliteCounters(database).charge((a_charge(),), "", True)[0].usage.used
    assert "set aside" in database.lost
    assert path.with_name(f"{NAME}.damaged").read_bytes() == data
    assert 1 == working.charge((a_charge(),), "", True)[0].usage.used


def test_another_versions_file_is_set_aside(tmp_path: Path) -> None:
    """It is not written to."""
    used(tmp_path)
    with sqlite3.connect(the_file(tmp_path)) as link:
        link.execute("PRAGMA user_version=99")
    link.close()
    assert 0 == used(tmp_path)
    with sqlite3.connect(the_file(tmp_path).with_name(f"{NAME}.damaged")) as link:
        assert (99,) == link.execute("PRAGMA user_version").fetchone()
    link.close()


def test_a_file_that_is_removed_is_made_anew(tmp_path: Path) -> None:
    """All workers go over to the new one; nobody counts on in a file without a name."""
    workers = [SqliteCounters(Database(str(tmp_path))) for _ in range(2)]
    for one in workers:
        one.charge((a_charge(),), "", True)
    for path in (tmp_path / FOLDER).iterdir():
        path.unlink()
    assert [0, 1] == [one.charge((a_charge(),), "", True)[0].usage.used for one in workers]
    assert "was removed" in workers[0].lost


def test_who_can_not_have_it_says_so_in_time(tmp_path: Path) -> None:
    """Another process holds it for good: no exception but ours, and it goes on when that one is gone."""
    counters = SqliteCounters(Database(str(tmp_path), 0.05))
    counters.charge((a_charge(),), "", True)
    holder = sqlite3.connect(the_file(tmp_path), isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(UncountedError, match="another process holds it too long"):
        counters.charge((a_charge(),), "", True)
    assert 1 == counters.charge((a_charge(),), "", False)[0].usage.used  # a look waits for nobody
    holder.close()
    assert 1 == counters.charge((a_charge(),), "", True)[0].usage.used


def test_who_can_not_have_its_turn_to_open_it_says_so(tmp_path: Path) -> None:
    """The same where another process makes the file."""
    (tmp_path / FOLDER).mkdir()
    with (tmp_path / FOLDER / "lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(UncountedError, match="another process"):
            used(tmp_path, patience=0.05)
    assert 0 == used(tmp_path)


def test_a_thread_that_holds_it_keeps_others_for_a_time(tmp_path: Path) -> None:
    """Sessions of one worker share a connection."""
    database = Database(str(tmp_path), 0.05)
    began, done = threading.Event(), threading.Event()

    def hold(_link: sqlite3.Connection) -> None:
        began.set()
        done.wait(20)

    thread = threading.Thread(target=database.run, args=(hold,))
    thread.start()
    began.wait(20)
    with pytest.raises(UncountedError, match="this process"):
        database.run(lambda link: None)
    done.set()
    thread.join()
    database.run(lambda link: None)


FULL = """
import resource, signal, sys
from tests.builders.charges import a_charge
from tidegate.store.counting import UncountedError
from tidegate.store.database import Database
from tidegate.store.sqlite import SqliteCounters
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
counters = SqliteCounters(Database(sys.argv[1]))
counters.charge((a_charge(100),), "", True)
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
failed = 0
for _ in range(3):
    try:
        counters.charge((a_charge(100),), "", True)
    except UncountedError as error:
        failed += 1
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
print(failed, counters.charge((a_charge(100),), "", True)[0].usage.used, repr(counters.lost))
"""


def test_a_full_disk(tmp_path: Path) -> None:
    """Nothing can be written for a while: three are not counted, the fourth is, and what was counted stays."""
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": f"{root / 'milter'}:{root}"}
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, env=environment, cwd=root
    )
    assert ("3 1 ''\n", "") == (done.stdout, done.stderr)


def test_a_state_directory_that_is_not_there(tmp_path: Path) -> None:
    """There is a reason, and once it is back it serves."""
    state = tmp_path / "state"
    counters = SqliteCounters(Database(str(state)))
    with pytest.raises(UncountedError, match="No such file"):
        counters.charge((a_charge(),), "", True)
    state.mkdir()
    assert 0 == counters.charge((a_charge(),), "", True)[0].usage.used


def test_what_no_window_needs_is_purged(tmp_path: Path) -> None:
    """By the clerk, in chunks; what still counts stays. The write-ahead log is emptied."""
    now = 1_700_000_000_000
    moment = [now]
    database = Database(str(tmp_path))
    counters = SqliteCounters(database, lambda: moment[0] / 1000)
    for number in range(1200):
        counters.charge((a_charge(key=f"k{number}"),), f"message {number}", True)
    counters.charge((a_charge(limit="who", members=("a", "b")),), "", True)
    counters.learn([Known("e:rate:hour:bob", 5, now, 3600.0)])
    moment[0] += 2 * HOUR
    counters.charge((a_charge(key="late"),), "", True)
    database.tend(moment[0])
    rows = {
        table: database.run(lambda link, table=table: link.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # type: ignore[misc]
        for table in ("spent", "seen", "known", "paid")
    }
    assert {"spent": 1, "seen": 0, "known": 0, "paid": 0} == rows
    assert 0 == the_file(tmp_path).with_name(f"{NAME}-wal").stat().st_size


def test_only_its_owner_reads_it(tmp_path: Path) -> None:
    """Logins stand in it."""
    used(tmp_path)
    modes = [path.stat().st_mode & 0o077 for path in [tmp_path / FOLDER, *(tmp_path / FOLDER).iterdir()]]
    assert [0] * len(modes) == modes


@pytest.mark.skipif(os.geteuid() != 0, reason="root gives files away")
def test_root_takes_nothing_from_the_daemons_account(tmp_path: Path) -> None:
    """A command that root runs makes files that belong to whom the state directory does."""
    nobody = 65534
    os.chown(tmp_path, nobody, nobody)
    database = Database(str(tmp_path))
    SqliteCounters(database).charge((a_charge(),), "", True)
    folder = tmp_path / FOLDER
    names = sorted(path.name for path in folder.iterdir())
    assert [NAME, f"{NAME}-shm", f"{NAME}-wal", "lock"] == names
    assert {nobody} == {path.stat().st_uid for path in (folder, *folder.iterdir())}
