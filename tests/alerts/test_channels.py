"""The channels one by one, against real receivers: HTTP servers, commands, sockets, a sendmail(1)."""

from __future__ import annotations

import email
import email.policy
import json
import os
import socket
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.builders.receiver import BlackHole, Receiver
from tidegate.alerts import Alert, AlertSettings, Debt, journal, mail, notice, own
from tidegate.alerts.alertmanager import MANY, Alertmanager
from tidegate.alerts.channel import OLD, REFUSALS, Queue
from tidegate.alerts.heartbeat import FRESH, Heartbeat
from tidegate.alerts.plan import ChannelPlan, Kind
from tidegate.alerts.posting import UndeliveredError, post
from tidegate.alerts.schedule import Event, Item
from tidegate.alerts.senders import Command, Webhook
from tidegate.alerts.spool import LIMIT, Spool
from tidegate.model import Place, Severity

ALERT = Alert(
    "rule stop", "unknown-key", "`wen` is no key\r\nBcc: x", Place("a.yaml", 4, 5), Severity.ERROR, 100.0, "cure"
)


def a_notice(number: int = 1, event: Event = Event.RAISED) -> notice.Notice:
    return notice.single(Item(event, ALERT, number), "mx1", Debt(), 200.0)


def a_plan(kind: Kind, *target: str, **more: Any) -> ChannelPlan:
    return replace(ChannelPlan("ops", kind, target), **more)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as one:
        yield one


class Refusing:
    """A sender that fails until it is told otherwise."""

    def __init__(self, final: bool = False) -> None:
        self.final = final
        self.works = False
        self.sent: list[str] = []

    def send(self, values: Mapping[str, Any]) -> str:
        if not self.works:
            raise UndeliveredError("no", self.final)
        self.sent.append(str(values["id"]))
        return ""

    def trouble(self, now: float) -> str:
        return ""


def test_an_id_is_of_what_is_told() -> None:
    """Told again after a crash it is the same; another time, another event of the same alert is not."""
    assert a_notice().id == a_notice().id != a_notice(2).id
    again = notice.single(Item(Event.RAISED, replace(ALERT, times=2), 1), "mx1", Debt(), 200.0)
    assert again.id != a_notice().id


def test_a_webhook_gets_json(receiver: Receiver) -> None:
    """With the token that its file holds now."""
    token = Path(os.devnull)
    Webhook(a_plan(Kind.WEBHOOK, receiver.url)).send(a_notice().values)
    (body,) = receiver.bodies
    assert ("raised", "firing", ALERT.key, "mx1", "error") == tuple(
        body[name] for name in ("event", "status", "key", "host", "severity")
    )
    with pytest.raises(UndeliveredError, match="no token"):
        Webhook(a_plan(Kind.WEBHOOK, receiver.url, token_file=str(token))).send({})


def test_a_token_can_be_renewed(receiver: Receiver, tmp_path: Path) -> None:
    """It is read at each attempt."""
    file = tmp_path / "token"
    sender = Webhook(a_plan(Kind.WEBHOOK, receiver.url, token_file=str(file)))
    for word in ("one", "two"):
        file.write_text(f"{word}\n")
        sender.send({})
    assert ["Bearer one", "Bearer two"] == receiver.tokens


@pytest.mark.parametrize(("status", "final"), [(302, False), (400, True), (404, False), (429, False), (500, False)])
def test_what_a_receiver_refuses(receiver: Receiver, status: int, final: bool) -> None:
    """Only what it says of this notification is final; a redirect is not followed."""
    receiver.status = status
    with pytest.raises(UndeliveredError, match=str(status)) as failure:
        post(receiver.url, b"{}", 5.0)
    assert final is failure.value.final


def test_a_black_hole_ends_in_time() -> None:
    """It takes the connection and says nothing."""
    with BlackHole() as hole, pytest.raises(UndeliveredError, match="no answer within"):
        post(hole.url, b"{}", 0.2)


@pytest.mark.parametrize(
    ("script", "why"),
    [("exit 3", "exit status 3"), ("kill -9 $$", "signal 9"), ("sleep 60 & sleep 60", "did not end"), ("", "")],
)
def test_a_command(tmp_path: Path, script: str, why: str) -> None:
    """Its exit status counts; one that goes on is ended with all that it started."""
    file = tmp_path / "hook"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    sender = Command(a_plan(Kind.EXEC, str(file), timeout=0.5))
    if not why:
        assert "" == sender.send({"large": "x" * 1_000_000})
        return
    with pytest.raises(UndeliveredError, match=why):
        sender.send({})


def test_a_command_that_is_not_there() -> None:
    """It says so."""
    with pytest.raises(UndeliveredError, match="can't be started"):
        Command(a_plan(Kind.EXEC, "/no/such/command")).send({})


def test_a_queue_delivers_in_order_after_failures(tmp_path: Path) -> None:
    """Back-off grows to half a minute; once it works, all arrive, each once."""
    sender = Refusing()
    queue = Queue(a_plan(Kind.WEBHOOK, "x"), sender, Spool(tmp_path), lambda: 200.0)
    for number in (1, 2, 2, 3):
        queue.offer(a_notice(number), 200.0)
    assert [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0] == [queue.step() for _ in range(7)]
    sender.works = True
    assert queue.step() is None
    assert [a_notice(number).id for number in (1, 2, 3)] == sender.sent
    assert [] == list(tmp_path.glob("*.notice"))


def test_what_is_refused_for_good_does_not_block(tmp_path: Path) -> None:
    """After a few attempts it is given up, counted."""
    queue = Queue(a_plan(Kind.WEBHOOK, "x"), Refusing(final=True), Spool(tmp_path), lambda: 200.0)
    queue.offer(a_notice(), 200.0)
    pauses = [queue.step() for _ in range(REFUSALS)]
    assert (None, 1, 0) == (pauses[-1], queue.tally.dropped, queue.waiting())


def test_old_news_is_given_up(tmp_path: Path) -> None:
    """Nobody wants to hear after a week what was wrong."""
    queue = Queue(a_plan(Kind.WEBHOOK, "x"), Refusing(), Spool(tmp_path), lambda: 201.0 + OLD)
    queue.offer(a_notice(), 200.0)
    assert (None, 1) == (queue.step(), queue.tally.dropped)


def test_a_channel_for_grave_things(tmp_path: Path) -> None:
    """It is told what reaches its severity."""
    queue = Queue(a_plan(Kind.WEBHOOK, "x", severity=Severity.CRITICAL), Refusing(), Spool(tmp_path))
    queue.offer(a_notice(), 200.0)
    assert 0 == queue.waiting()


def test_a_channel_that_fails_for_a_minute_is_trouble(tmp_path: Path) -> None:
    """Not before."""
    clock = iter([200.0])
    queue = Queue(a_plan(Kind.WEBHOOK, "x"), Refusing(), Spool(tmp_path), lambda: next(clock))
    queue.offer(a_notice(), 200.0)
    queue.step()
    assert ("", "no") == (queue.trouble(259.0), queue.trouble(260.0))


def test_a_spool_survives(tmp_path: Path) -> None:
    """In order; a damaged file is set aside; the oldest goes where there are too many."""
    spool = Spool(tmp_path / "spool")
    for number in range(3):
        spool.put(str(number), {"n": number}, 1.0)
    (tmp_path / "spool" / "000000000002-1.notice").write_text("damaged")
    again = Spool(tmp_path / "spool")
    first = again.first()
    assert first
    assert ("0", {"n": 0}, 2) == (first.id, first.values, len(again))
    again.put("3", {}, 2.0)
    assert ["0", "2", "3"] == [one.id for one in again._waiting.values()]
    for number in range(LIMIT):
        again.put(f"x{number}", {}, 3.0)
    assert (LIMIT, 3) == (len(again), again.dropped)


def test_what_somebody_removed_is_not_sent(tmp_path: Path) -> None:
    """`tidegate forget` drops what names somebody, while it waits."""
    spool = Spool(tmp_path)
    spool.put("1", {}, 1.0)
    spool.put("2", {}, 1.0)
    (tmp_path / "000000000001-1.notice").unlink()
    first = spool.first()
    assert first
    assert ("2", 1) == (first.id, len(spool))


def test_a_full_disk_does_not_keep_a_notification(tmp_path: Path) -> None:
    """It waits in memory alone, and the channel says what is wrong."""
    (tmp_path / "file").write_text("")
    spool = Spool(tmp_path / "file" / "spool")
    spool.put("1", {}, 1.0)
    assert 1 == len(spool)
    assert "Not a directory" in spool.error


def test_alertmanager_gets_few_where_there_are_many(receiver: Receiver) -> None:
    """The critical ones, and one for the rest; where nothing stands, nothing is posted."""
    channel = Alertmanager(a_plan(Kind.ALERTMANAGER, f"http://127.0.0.1:{receiver.port}/"), "mx1", lambda: 1000.0)
    channel.step()
    assert [] == receiver.bodies
    rest = [replace(ALERT, subject=f"rule {n}") for n in range(MANY + 1)]
    channel.mirror((*rest, replace(ALERT, severity=Severity.CRITICAL)), ())
    channel.step()
    assert ["tidegate-unknown-key", "tidegate-many-alerts"] == [
        one["labels"]["alertname"] for one in receiver.bodies[0]
    ]


def test_mail_is_safe_and_threaded(tmp_path: Path) -> None:
    """No line of a message becomes a header; the null sender's mail says what it is; one alert is one thread."""
    plan = a_plan(Kind.SENDMAIL, "postmaster@example.com", "root")
    parsed = email.message_from_bytes(mail.message(a_notice().values, plan, "mx1", b"key"), policy=email.policy.default)
    assert "[tidegate] ERROR rule stop: unknown-key (mx1)" == parsed["Subject"]
    assert ("postmaster@example.com, root", "auto-generated", None) == tuple(
        parsed[name] for name in ("To", "Auto-Submitted", "Bcc")
    )
    assert parsed.get_content().isascii()
    assert "silence" in parsed.get_content()
    other = email.message_from_bytes(mail.message(a_notice(2, Event.RESOLVED).values, plan, "mx1", b"key"))
    assert parsed["References"] == other["References"]
    assert "RESOLVED" in other["Subject"]


@pytest.mark.parametrize("text", ["ümlaut \udc80 \x00", "x" * 5000], ids=["odd", "long"])
def test_mail_of_odd_texts(text: str) -> None:
    """Whatever a policy file held, it is a message."""
    values = {**a_notice().values, "subject": text, "text": text, "message": text}
    made = mail.message(values, a_plan(Kind.SENDMAIL, "root"), "mx1", b"key")
    assert made.isascii()
    assert all(len(line) < 998 for line in made.splitlines())


def test_mail_leaves_its_folder_once_it_was_taken(tmp_path: Path) -> None:
    """What sendmail(1) refuses stays, with its words; the others go."""
    got = tmp_path / "got"
    script = tmp_path / "sendmail"
    script.write_text(f'#!/bin/sh\nif grep -q bad; then echo "no such thing" >&2; exit 75; fi\necho taken >>{got}\n')
    script.chmod(0o755)
    for name, text in (("1", b"bad"), ("2", b"good")):
        mail.put(tmp_path / "mail", name, text)
    assert "exit status 75: no such thing" in mail.drain(tmp_path / "mail", (str(script),))
    assert "taken\n" == got.read_text()
    assert ["1.eml"] == [path.name for path in (tmp_path / "mail").iterdir()]
    assert "" == mail.drain(tmp_path / "nowhere")
    assert "is not there" in mail.drain(tmp_path / "mail", ("/no/sendmail",))


def test_mail_that_nobody_collects_is_trouble(tmp_path: Path) -> None:
    """The unit that drains the folder may be off."""
    sender = mail.MailSender(a_plan(Kind.SENDMAIL, "root"), tmp_path, "mx1")
    mail.put(sender.folder, "1", b"x")
    when = (sender.folder / "1.eml").stat().st_mtime
    assert "" == sender.trouble(when + 10)
    assert "tidegate-mail.path" in sender.trouble(when + mail.UNCOLLECTED + 10)


@pytest.mark.parametrize(
    ("change", "ours"),
    [
        ({}, True),
        ({"recipients": ("Root@mx1.example.com", "postmaster@example.com")}, True),
        ({"recipients": ("postmaster@example.com", "else@example.com")}, False),
        ({"identity": b"<other@mx1>"}, False),
        ({"mark": b"0" * 64}, False),
        ({"mark": b"\xff"}, False),
        ({"mark": None}, False),
    ],
    ids=["it", "completed by Postfix", "another recipient", "another message", "another mark", "bytes", "none"],
)
def test_our_own_mail_is_known_by_its_mark(tmp_path: Path, change: dict[str, Any], ours: bool) -> None:
    """And by its recipients: a copied mark reaches nobody but those whom the settings name."""
    plan = AlertSettings(channels=(a_plan(Kind.SENDMAIL, "postmaster@example.com", "root"),))
    identity = b"<1@mx1>"
    mark = own.mark(own.key(tmp_path), "<1@mx1>").encode()
    given = {"identity": identity, "mark": mark, "recipients": ("postmaster@example.com",), **change}
    headers = [("Subject", b"x"), ("Message-Id", b" " + given["identity"])]
    if given["mark"] is not None:
        headers.append(("X-Tidegate-Notice", given["mark"]))
    assert ours is own.Own(plan, str(tmp_path))(headers, given["recipients"])
    assert not own.Own(AlertSettings(), str(tmp_path))(headers, given["recipients"])


def test_without_a_key_nothing_is_ours(tmp_path: Path) -> None:
    """Nobody has written a notification yet; a damaged key is made anew by who writes the next one."""
    plan = AlertSettings(channels=(a_plan(Kind.SENDMAIL, "root"),))
    headers = [("Message-Id", b"<1@mx1>"), ("X-Tidegate-Notice", own.mark(b"", "<1@mx1>").encode())]
    assert not own.Own(plan, str(tmp_path))(headers, ("root",))
    (tmp_path / own.KEY).write_bytes(b"damaged")
    assert 64 == len(own.key(tmp_path))


def test_the_journal_gets_fields(tmp_path: Path) -> None:
    """systemd's native protocol, with what one searches by."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(str(tmp_path / "journal"))
        assert journal.tell(a_notice().values, str(tmp_path / "journal"), str(tmp_path / "none"))
        fields = dict(line.split("=", 1) for line in end.recv(65536).decode().splitlines())
    assert ("3", ALERT.key, "unknown-key", "tidegate") == tuple(
        fields[name] for name in ("PRIORITY", "TIDEGATE_KEY", "TIDEGATE_CODE", "SYSLOG_IDENTIFIER")
    )


def test_syslog_gets_a_line(tmp_path: Path) -> None:
    """Where there is no journal: facility mail, the priority of the severity; nothing at all is no error."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(str(tmp_path / "log"))
        assert journal.tell(a_notice().values, str(tmp_path / "none"), str(tmp_path / "log"))
        line = end.recv(65536).decode()
    assert line.startswith("<19>tidegate[")
    assert "\n" not in line
    assert not journal.tell(a_notice().values, str(tmp_path / "none"), str(tmp_path / "neither"))


def test_a_summary_names_the_first() -> None:
    """And counts the others by code and event."""
    items = [Item(Event.RAISED, replace(ALERT, subject=f"rule {n}"), 1) for n in range(5000)]
    values = notice.summary(items, "mx1", 1.0).values
    assert (5000, {"raised": 5000}, 20) == (values["count"], values["events"], len(values["alerts"]))
    assert "5,000 alerts at once" in values["text"]
    assert len(json.dumps(values)) < 20_000


@pytest.mark.parametrize(
    ("heard", "workers", "beats"),
    [(0.0, 2, True), (FRESH + 1, 2, False), (0.0, 0, False)],
    ids=["all is alive", "the supervisor is silent", "no worker runs"],
)
def test_the_heartbeat_tells_the_truth(receiver: Receiver, heard: float, workers: int, beats: bool) -> None:
    """It is sent only while the supervisor was heard just now and workers serve."""
    clock = iter([100.0, 100.0 + heard])
    heart = Heartbeat(AlertSettings(heartbeat=receiver.url), "mx1", lambda: next(clock))
    heart.pulse({"workers": workers, "generation": 7})
    assert beats is heart.beat()
    assert ([7] if beats else []) == [body["generation"] for body in receiver.bodies]
