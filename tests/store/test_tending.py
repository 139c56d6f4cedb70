"""The clerk's part: once a minute, where there is something, and never with an exception."""

from __future__ import annotations

import time
from pathlib import Path

from structlog.testing import capture_logs

from tests.builders.charges import a_charge
from tidegate.store.database import FOLDER, NAME, Database
from tidegate.store.sqlite import SqliteCounters
from tidegate.store.tending import Tender


def test_it_makes_no_file(tmp_path: Path) -> None:
    """A host without limits has none."""
    Tender(str(tmp_path)).look(0.0)
    assert [] == list(tmp_path.iterdir())


def test_once_a_minute(tmp_path: Path) -> None:
    """What ended an hour ago is gone at the first look; the next one is a minute later."""
    an_hour_ago = time.time() - 7300
    database = Database(str(tmp_path))
    counters = SqliteCounters(database, lambda: an_hour_ago)

    def rows() -> int:
        return int(database.run(lambda link: link.execute("SELECT count(*) FROM spent").fetchone()[0], write=False))

    tender = Tender(str(tmp_path))
    found = []
    for now in (1000.0, 1059.0, 1060.0):
        counters.charge((a_charge(),), "", True)
        tender.look(now)
        found.append(rows())
    assert [0, 1, 0] == found


def test_a_file_that_can_not_be_had(tmp_path: Path) -> None:
    """It is told once, and healed at the next look."""
    folder = tmp_path / FOLDER
    (folder / NAME).mkdir(parents=True)
    tender = Tender(str(tmp_path))
    with capture_logs() as lines:
        for now in (1000.0, 2000.0):
            tender.look(now)
    assert ["limit counters not tended"] == [line["event"] for line in lines]
    (folder / NAME).rmdir()
    SqliteCounters(Database(str(tmp_path))).charge((a_charge(),), "", True)
    with capture_logs() as lines:
        tender.look(3000.0)
    assert [] == lines
