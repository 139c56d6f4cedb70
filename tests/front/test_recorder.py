"""Judged messages on their way into the replay store: aside, bounded, and counted where they are lost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

from tests.builders.rules import a_rule, contains
from tests.builders.sessions import Front, MemoryTally
from tests.builders.transactions import NOW, FakePolicies, a_transaction
from tidegate.front import recorder
from tidegate.front.recorder import Recorder
from tidegate.model import Disposition, ListKind, Operator, Verdict
from tidegate.model import Test as FieldTest
from tidegate.replay import BusyError, Kept, Quill, Reading, UnavailableError, read_messages

MIB = 1 << 20
POLICIES = FakePolicies([a_rule("r", contains("subject", "spam"))])
VERDICT = Verdict(Disposition.REJECT, rule="r", generation=7, digest="d7")


class StubbornQuill(Quill):
    """A quill that fails as often as it is told to."""

    def __init__(self, state: Path, failures: Sequence[Exception] = ()) -> None:
        super().__init__(str(state), MIB)
        self.failures = list(failures)

    def write(self, messages: Iterable[Kept], now: float) -> None:
        if self.failures:
            raise self.failures.pop(0)
        super().write(messages, now)


def noted(one: Recorder, count: int, size: int = 100) -> None:
    for _ in range(count):
        one.note(a_transaction(), POLICIES, VERDICT, NOW, (), size)


def kept(state: Path) -> list[Kept]:
    return list(read_messages(str(state), 0, Reading()))


def test_nothing_is_written_before_the_flush(tmp_path: Path) -> None:
    """The message that is noted waits for nothing."""
    one = Recorder(StubbornQuill(tmp_path), MemoryTally())
    noted(one, 3)
    assert [] == list(tmp_path.iterdir())
    assert one.flush()
    assert 3 == len(kept(tmp_path))


def test_what_is_kept(tmp_path: Path) -> None:
    """Envelope, what rules read, and what became of it; a large message is cut to that at once."""
    one = Recorder(StubbornQuill(tmp_path), MemoryTally())
    noted(one, 1)
    noted(one, 1, size=100_000)
    one.flush()
    for found in kept(tmp_path):
        message, verdict = found.transaction.message, found.verdict
        assert message is not None
        assert (("Subject", b"hello"), ("", b"")) == message.headers
        assert verdict is not None
        assert ("r", 7, "d7") == (verdict.rule, verdict.generation, verdict.digest)
        assert a_transaction().envelope == found.transaction.envelope


def test_more_than_can_wait_is_counted_as_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By number, and by bytes."""
    monkeypatch.setattr(recorder, "_WAITING", 5)
    monkeypatch.setattr(recorder, "_BYTES", 1000)
    tally = MemoryTally()
    one = Recorder(StubbornQuill(tmp_path), tally)
    noted(one, 7)
    one.flush()
    noted(one, 4, size=300)
    one.flush()
    assert (5 + 3, 2 + 1) == (len(kept(tmp_path)), tally.counts["replay_lost"])


def test_a_busy_store_is_tried_again(tmp_path: Path) -> None:
    """What waits waits on, in order, and nothing is lost."""
    tally = MemoryTally()
    one = Recorder(StubbornQuill(tmp_path, [BusyError(11, "busy")] * 2), tally)
    noted(one, 2)
    assert not one.flush()
    noted(one, 1)
    one.finish()
    assert (3, 0) == (len(kept(tmp_path)), tally.counts["replay_lost"])


def test_what_waits_for_a_busy_store_takes_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often it is tried again, the bytes that wait are bounded."""
    monkeypatch.setattr(recorder, "_BYTES", 1000)
    tally = MemoryTally()
    one = Recorder(StubbornQuill(tmp_path, [BusyError(11, "busy")] * 3), tally)
    for _ in range(3):
        noted(one, 4, size=300)
        assert not one.flush()
    one.finish()
    assert (3, 9) == (len(kept(tmp_path)), tally.counts["replay_lost"])


@pytest.mark.parametrize(
    "failure", [OSError(28, "No space left on device"), UnavailableError("not installed"), ValueError("a bug")]
)
def test_what_can_not_be_written_is_counted_as_lost(failure: Exception, tmp_path: Path) -> None:
    """And what comes after it is written."""
    tally = MemoryTally()
    one = Recorder(StubbornQuill(tmp_path, [failure]), tally)
    noted(one, 2)
    assert one.flush()
    noted(one, 1)
    assert one.flush()
    assert (1, 2) == (len(kept(tmp_path)), tally.counts["replay_lost"])


NOT_OUTSIDE = a_rule(
    "near", FieldTest("rcpt.domain", Operator.ONE_OF, ("example.org",), kind=ListKind.DOMAIN), per_recipient=True
)


def test_recipients_that_were_refused_are_kept_too(tmp_path: Path) -> None:
    """A candidate may accept them. Where all were, the client gives up, and that is what is kept."""
    front = Front(FakePolicies([NOT_OUTSIDE]))
    front.desk.recorder = Recorder(StubbornQuill(tmp_path), front.tally)
    front.envelope(["a@example.org", "b@example.net"])
    front.end_of_message()
    front.mail()
    front.rcpt("c@example.org")
    front.event("abort")
    front.mail()
    front.event("abort")
    front.desk.recorder.flush()
    first, second = kept(tmp_path)
    assert (["b@example.net"], ["a@example.org"]) == (addresses(first, False), addresses(first, True))
    assert ([], ["c@example.org"]) == (addresses(second, False), addresses(second, True))
    assert first.verdict is not None
    assert second.verdict is not None
    assert (Disposition.ACCEPT, "") == (first.verdict.disposition, first.verdict.rule)
    assert (Disposition.REJECT, "near", None) == (
        second.verdict.disposition,
        second.verdict.rule,
        second.transaction.message,
    )


def addresses(one: Kept, refused: bool) -> list[str]:
    return [rcpt.address for rcpt in (one.refused if refused else one.transaction.envelope.recipients)]
