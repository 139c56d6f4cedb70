"""The daemon's processes from outside: real processes on sockets in a temporary folder, without Postfix."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import urllib.request
from datetime import datetime
from pathlib import Path

import pytest

from tests.builders.daemon import ACCEPT_ALL, ROOT, Daemon, Session, answer, reject_all, until


def refused(daemon: Daemon, rule: str = "stop") -> bool:
    return daemon.message().startswith(f"550 5.7.1 stopped by {rule}")


def _worded(daemon: Daemon) -> str:
    """A message's reply without its reference, which is another each time."""
    return daemon.message().partition(" (")[0]


def test_a_rule_refuses_and_term_stops_in_time(folder: Path) -> None:
    """A message is judged by the policy; TERM ends an idle daemon soon and removes its socket."""
    with Daemon(folder, workers=2) as daemon:
        daemon.policy(reject_all())
        daemon.start()
        assert refused(daemon)
        assert daemon.stop() < 10.0
        assert [] == [name.name for name in daemon.socket.parent.iterdir() if name.suffix != ".lock"]


def test_the_socket_has_the_mode_of_the_settings(folder: Path) -> None:
    """Postfix needs write permission, others get none."""
    with Daemon(folder, socket_mode="0666") as daemon:
        daemon.start()
        assert 0o666 == stat.S_IMODE(daemon.socket.stat().st_mode)
        daemon.stop()


def test_hup_takes_an_edit_at_once(folder: Path) -> None:
    """After HUP every worker runs the new generation, and the next message meets it."""
    with Daemon(folder, workers=2, poll="3600s") as daemon:
        daemon.policy(ACCEPT_ALL)
        daemon.start()
        assert "accept" == daemon.message()
        daemon.policy(reject_all())
        daemon.signal(signal.SIGHUP)
        until(lambda: daemon.generation() == 2, "generation 2 everywhere")
        assert refused(daemon)


def test_polling_finds_an_edit(folder: Path) -> None:
    """Nobody sends a signal: two looks in a row see the edit, and it goes live; reverting it does too."""
    with Daemon(folder) as daemon:
        daemon.policy(ACCEPT_ALL)
        daemon.start()
        daemon.policy(reject_all())
        until(lambda: daemon.message().startswith("550"), "the edit is in force")
        daemon.policy(ACCEPT_ALL)
        until(lambda: daemon.message() == "accept", "the revert is in force")


def test_one_broken_rule_is_an_alert_and_the_last_valid_text_serves(folder: Path) -> None:
    """STALE, across a restart too; the alert has its place and clears by a byte-identical revert."""
    broken = reject_all().replace("    when:", "    nonsense: 1\n    when:")
    with Daemon(folder) as daemon:
        daemon.policy(reject_all())
        daemon.start()
        daemon.policy(broken)
        until(lambda: daemon.alerts(), "an alert")
        assert refused(daemon)
        daemon.stop()
        daemon.start()
        assert refused(daemon)
        states = [entry["state"] for entry in daemon.status()["entries"]]
        assert ["stale"] == states
        daemon.policy(reject_all())
        until(lambda: not daemon.alerts(), "the alert clears")
        assert daemon.lines("alert raised")
        assert daemon.lines("alert cleared")


HOSTILE = {
    "missing": None,
    "empty": "",
    "binary": "\0\1\2\3",
    "not yaml": "rules: [",
    "deep": "[" * 50_000,
    "bomb": "a: &a [x,x,x,x,x,x,x,x,x]\n"
    + "".join(f"{b}: &{b} [{','.join(['*' + a] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)),
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=list(HOSTILE))
def test_hostile_policies_do_not_keep_it_from_answering(folder: Path, text: str | None) -> None:
    """P1: whatever the directory holds, it answers within ten seconds, and never with a 5xx."""
    with Daemon(folder) as daemon:
        if text is None:
            daemon.policies.rmdir()
        else:
            daemon.policy(text)
        daemon.start()
        assert not daemon.message().startswith("5")
        assert daemon.alerts()
        # By its own log, so that the time that a busy machine takes to start an interpreter does not count.
        began, served = (datetime.fromisoformat(daemon.lines(word)[0]["timestamp"]) for word in ("starting", "serving"))
        assert (served - began).total_seconds() < 10


def test_no_directory_defers_until_there_is_one(folder: Path) -> None:
    """Nothing was ever read: 451, not accept; once it can be read, it is in force without a restart."""
    with Daemon(folder) as daemon:
        daemon.policies.rmdir()
        daemon.start()
        assert daemon.message().startswith("451")
        assert "no-generation" in daemon.alerts()
        daemon.policies.mkdir()
        daemon.policy(reject_all())
        until(lambda: refused(daemon), "the policy is in force")
        assert "no-generation" not in daemon.alerts()


def test_files_that_can_not_be_read_defer(folder: Path) -> None:
    """A FIFO in the place of the only file is not waited for, and not taken for an empty policy."""
    with Daemon(folder) as daemon:
        os.mkfifo(daemon.policies / "10-test.yaml")
        daemon.start()
        assert daemon.message().startswith("451")
        assert "no-generation" in daemon.alerts()


def test_an_empty_directory_accepts_with_an_alert(folder: Path) -> None:
    """Without any policy mail is accepted, and somebody is told."""
    with Daemon(folder) as daemon:
        daemon.start()
        assert "accept" == daemon.message()
        assert {"no-policy"} == daemon.alerts()


@pytest.mark.parametrize("loss", ["gone", "directory", "empty", "cut"])
def test_absence_is_not_deletion(folder: Path, loss: str) -> None:
    """P9: the verdict stays, an alert says why, also after a restart; and it clears on repair."""
    with Daemon(folder) as daemon:
        daemon.policy(reject_all())
        daemon.start()
        file = daemon.policies / "10-test.yaml"
        match loss:
            case "gone":
                file.unlink()
            case "directory":
                daemon.policies.rename(folder / "elsewhere")
            case "empty":
                file.write_text("")
            case "cut":
                file.write_text("version: 1\nrules: []\n")
        until(lambda: daemon.alerts() & {"source-empty", "source-unreadable", "source-truncated"}, "an alert")
        assert refused(daemon)
        daemon.stop()
        daemon.start()
        assert refused(daemon)
        if loss == "directory":
            (folder / "elsewhere").rename(daemon.policies)
        daemon.policy(reject_all())
        until(lambda: not daemon.alerts(), "it clears")


def test_a_damaged_record_is_an_alert(folder: Path) -> None:
    """The record of accepted entries is set aside, and the policies load without it."""
    with Daemon(folder) as daemon:
        daemon.policy(reject_all())
        daemon.start().stop()
        record = daemon.state / "accepted"
        record.write_bytes(record.read_bytes().replace(b"stop", b"spot"))
        daemon.start()
        assert "record-corrupt" in daemon.alerts()
        assert refused(daemon)


def test_a_dead_worker_is_replaced(folder: Path) -> None:
    """kill -9 costs its sessions only; a new worker has the generation before it takes mail."""
    with Daemon(folder, workers=2) as daemon:
        daemon.policy(reject_all())
        daemon.start()
        victim = daemon.workers()[0]
        os.kill(victim, signal.SIGKILL)
        until(lambda: len(daemon.workers()) == 2 and victim not in daemon.workers(), "a replacement")
        assert all(refused(daemon) for _ in range(4))
        assert 1 == daemon.status()["restarts"]


def test_a_stuck_worker_is_killed_and_replaced(folder: Path) -> None:
    """A worker whose command thread is silent for five seconds is as good as dead."""
    with Daemon(folder) as daemon:
        daemon.start()
        victim = daemon.workers()[0]
        os.kill(victim, signal.SIGSTOP)
        until(lambda: daemon.workers() and victim not in daemon.workers(), "a replacement", 15)
        assert "accept" == daemon.message()


def test_signals_to_a_worker_do_what_they_should(folder: Path) -> None:
    """HUP, USR1 and INT to a worker: nothing, nothing, a drain; TERM drains too and never removes the socket."""
    with Daemon(folder) as daemon:
        daemon.start()
        first = daemon.workers()[0]
        for number in (signal.SIGHUP, signal.SIGUSR1):
            os.kill(first, number)
            assert "accept" == daemon.message()
        assert [first] == daemon.workers()
        for number in (signal.SIGTERM, signal.SIGINT):
            victim = daemon.workers()[0]
            os.kill(victim, number)
            until(lambda gone=victim: daemon.workers() and gone not in daemon.workers(), "a replacement")
            assert daemon.socket.exists()
            until(daemon.serves, "it serves")


def test_a_message_in_hand_gets_its_verdict_on_term(folder: Path) -> None:
    """A worker that leaves answers the message that it has, and sends the session's next one elsewhere."""
    with Daemon(folder, workers=1) as daemon:
        daemon.policy(reject_all())
        daemon.start()
        session = Session(daemon.socket)
        session.greet()
        assert "" == session.envelope()
        daemon.signal(signal.SIGTERM)
        until(lambda: not daemon.socket.exists(), "the socket is withdrawn")
        assert session.content().startswith("550")
        assert daemon.process is not None
        assert 0 == daemon.process.wait(5)


def test_the_supervisor_dies_and_the_workers_leave(folder: Path) -> None:
    """kill -9 of the supervisor: workers drain by themselves, the next start works at once."""
    with Daemon(folder, workers=2) as daemon:
        daemon.policy(reject_all())
        daemon.start()
        workers = daemon.workers()
        assert daemon.process is not None
        daemon.process.kill()
        daemon.process.wait()
        until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers), "the workers left")
        daemon.start()
        assert refused(daemon)


def test_a_second_daemon_on_the_same_state_is_refused(folder: Path) -> None:
    """Exit 75 with a text that says what to do; the first one is unharmed."""
    with Daemon(folder) as daemon:
        daemon.start()
        second = Daemon(folder)
        second.start(wait=False)
        assert second.process is not None
        assert 75 == second.process.wait(10)
        assert "--takeover" in second.errors.read_text()
        assert "accept" == daemon.message()


def test_takeover_leaves_no_gap(folder: Path) -> None:
    """A successor on the same state directory: no connection is refused meanwhile, the old one leaves."""
    with Daemon(folder) as old:
        old.policy(reject_all())
        old.start()
        idle = Session(old.socket)
        idle.greet()
        with Daemon(folder) as new:
            new.start("--takeover", wait=False)
            assert old.process is not None
            replies = set()
            until(lambda: replies.add(_worded(old)) or new.status().get("pid") == new.pid, "the new one answers")
            until(lambda: replies.add(_worded(new)) or old.workers() != [], "messages meanwhile")
            assert 1 == len(replies)
            assert until(lambda: _mail(idle), "421").startswith("421 4.3.2")
            idle.close()
            assert 0 == old.process.wait(15)
            assert refused(new)
            new.stop()


def test_usr2_takes_over_from_itself(folder: Path) -> None:
    """The program starts anew with the same arguments; the old process leaves with 0, and no message is refused."""
    with Daemon(folder) as daemon:
        daemon.policy(reject_all())
        daemon.start()
        old = daemon.process
        assert old is not None
        old.send_signal(signal.SIGUSR2)
        replies = set()
        until(lambda: replies.add(_worded(daemon)) or daemon.status().get("pid") not in (None, old.pid), "a new one")
        until(lambda: replies.add(_worded(daemon)) or old.poll() is not None, "the old one leaves", 45.0)
        assert (1, 0) == (len(replies), old.returncode)
        successor = daemon.status()["pid"]
        os.kill(successor, signal.SIGTERM)
        until(lambda: not Path(f"/proc/{successor}").exists(), "the new one leaves")


def _mail(session: Session) -> str:
    """The reply to MAIL on a session that stays; "" while the worker still takes messages."""
    letter, data = session.mail()
    if letter != "y":
        session.abort()
        return ""
    return answer(letter, data)


def test_another_state_directory_takes_the_socket_over(folder: Path) -> None:
    """Two state directories, one socket: the second has it, the first drains and leaves; nothing removes it."""
    with Daemon(folder) as old, Daemon(folder, state=folder / "other") as new:
        new.state = folder / "other"
        old.write_settings()
        old.start()
        new.write_settings()
        new.start(wait=False)
        until(lambda: new.status().get("stage") == "serving", "the new one serves")
        assert old.process is not None
        assert 0 == old.process.wait(15)
        assert "accept" == new.message()


def test_broken_settings_run_on_the_last_good_ones(folder: Path) -> None:
    """Never good: 78 with all mistakes at once. Good once: they run, with an alert."""
    with Daemon(folder) as daemon:
        daemon.policy(reject_all())
        good = daemon.config.read_text()
        daemon.config.write_text("listen: nowhere\nstate: " + str(daemon.state) + "\nworker: 3\n")
        daemon.start(wait=False)
        assert daemon.process is not None
        assert 78 == daemon.process.wait(10)
        text = daemon.errors.read_text()
        assert all(word in text for word in (":1:9:", "worker", "did you mean `workers`", "`policies` is missing"))
        daemon.config.write_text(good)
        daemon.start().stop()
        daemon.config.write_text(f"listen: nowhere\nstate: {daemon.state}\n")
        daemon.start()
        assert refused(daemon)
        assert {"settings-value", "settings-missing", "settings-last-good"} <= daemon.alerts()
        assert daemon.status()["settings"]["last_good"]


def test_a_socket_that_can_not_be_opened_falls_back_too(folder: Path) -> None:
    """Valid settings that don't work are no better than invalid ones."""
    with Daemon(folder) as daemon:
        daemon.policy(reject_all())
        daemon.start().stop()
        daemon.write_settings(listen=f"unix:{folder}/nowhere/t.sock")
        daemon.start()
        assert refused(daemon)
        assert {"listen-failed", "settings-last-good"} <= daemon.alerts()


def test_usr1_reopens_the_log(folder: Path) -> None:
    """logrotate renames the file and sends USR1: supervisor and workers write to the new one."""
    with Daemon(folder) as daemon:
        daemon.start()
        daemon.log.rename(daemon.log.with_suffix(".1"))
        daemon.signal(signal.SIGUSR1)
        until(daemon.log.exists, "a new log")
        daemon.stop()
        assert daemon.lines("worker left")


def test_metrics_count_over_worker_restarts(folder: Path) -> None:
    """The counters survive the worker that counted."""
    port = 20000 + os.getpid() % 20000
    with Daemon(folder, metrics=f"127.0.0.1:{port}") as daemon:
        daemon.policy(reject_all("named-rule"))
        daemon.start()
        daemon.message()
        first = daemon.workers()[0]
        os.kill(first, signal.SIGKILL)
        until(lambda: daemon.workers() and first not in daemon.workers(), "a replacement")
        until(daemon.serves, "it serves")
        daemon.message()
        wanted = 'tidegate_rule_matches_total{rule="named-rule",mode="enforce"} 2'

        def counted() -> bool:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
                return wanted in answer.read().decode()

        until(counted, wanted)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize("way", ["dropped", "nobody"])
def test_it_runs_as_an_unprivileged_account(folder: Path, way: str) -> None:
    """Root that drops by `user:`, and a start as nobody: both serve, reload, lose a worker, and clean up."""
    code = shutil.copytree(ROOT / "milter", folder / "code")  # this checkout may lie where only root can read
    become = ["env", f"PYTHONPATH={code}", "setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
    prefix = become if way == "nobody" else []
    with Daemon(
        folder, prefix=prefix, **({"user": "nobody", "group": "nogroup"} if way == "dropped" else {})
    ) as daemon:
        for place in (folder, daemon.socket.parent, daemon.log.parent, daemon.policies):
            shutil.chown(place, "nobody", "nogroup")
        daemon.policy(ACCEPT_ALL)
        daemon.start()
        assert 65534 == os.stat(f"/proc/{daemon.workers()[0]}").st_uid
        assert "accept" == daemon.message()
        daemon.policy(reject_all())
        until(lambda: refused(daemon), "the edit is in force")
        victim = daemon.workers()[0]
        os.kill(victim, signal.SIGTERM)
        until(lambda: daemon.workers() and victim not in daemon.workers(), "a replacement")
        assert daemon.socket.exists()
        assert daemon.stop() < 10.0
        assert not daemon.socket.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_socket_folder_of_root_is_enough(folder: Path) -> None:
    """Root-then-dropped with a folder that the account may not write: the socket is put into place before."""
    with Daemon(folder, user="nobody") as daemon:
        daemon.policy(reject_all())
        daemon.start()
        assert refused(daemon)
        daemon.stop()


def test_the_decision_is_json_and_status_is_one_line(folder: Path) -> None:
    """`status` answers in JSON; nonsense on the control socket gets an error, not a hang."""
    with Daemon(folder) as daemon:
        daemon.start()
        document = daemon.status()
        assert document["generation"]["number"] == document["workers"][0]["generation"]
        assert "error" in daemon.ask(do="explode")
        assert json.dumps(document)
