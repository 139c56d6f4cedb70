"""How long an entry has been broken is known over restarts, and ten entries in ten states survive one."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.builders.daemon import Daemon, Session, reject_all, until


def aging(broken: bool) -> str:
    """A policy whose one rule refuses everything, and may be broken for three seconds."""
    good = reject_all().replace("    when:", "    max_stale: {after: 3s, then: defer}\n    when:")
    return good.replace("when:", "whenn:") if broken else good


def since(daemon: Daemon) -> float:
    return float(next(one["since"] for one in daemon.status()["entries"] if one["key"] == "rule stop"))


def test_max_stale_over_a_restart(folder: Path) -> None:
    """The age is that of the first load that found it broken; nobody has to touch a file when its time is over."""
    with Daemon(folder) as daemon:
        daemon.policy(aging(broken=False))
        daemon.start()
        daemon.policy(aging(broken=True))
        until(lambda: "unknown-key" in daemon.alerts(), "the edit is broken")
        began = since(daemon)
        assert daemon.message().startswith("550 5.7.1 stopped by stop")
        daemon.stop()
        daemon.start()
        assert began == since(daemon)
        until(lambda: "stale-too-long" in daemon.alerts(), "its time is over")
        until(lambda: daemon.message().startswith("451"), "its mail waits")
        daemon.policy(aging(broken=False))
        until(lambda: daemon.message().startswith("550"), "it is repaired")
        until(lambda: set() == daemon.alerts(), "no alert stands")


def stopping(name: str, when: str = "", more: str = "", version: int = 1) -> str:
    """A rule that refuses the mail of the sender of its name."""
    asked = when or f"{{sender.address: {name}@example.com}}"
    reply = f'{{code: "550 5.7.1", text: "{name} v{version}"}}'
    return f"  - {{id: {name}, when: {asked}, do: {{reject: {reply}}}{more}}}\n"


def policy(edited: bool) -> str:
    """Ten entries and what they rest on; `edited`: as they are after edits good and bad."""
    bad = ", whenn: x" if edited else ""
    lists = (
        f"lists:\n  listed: {{type: login, {'itemz' if edited else 'items'}: [alice]}}\n"
        "  filed: {type: login, file: filed.txt}\n"
    )
    asked = "{sender.addres: conditioned@example.com}" if edited else "{sender.address: conditioned@example.com}"
    conditions = f"conditions:\n  named: {asked}\n"
    rules = [
        stopping("active", version=2 if edited else 1),
        stopping("stale", more=bad),
        stopping("shadowed", more=", mode: shadow"),
        stopping("off", more=", mode: off"),
        stopping("expired", more=", active: {until: 2020-01-01}"),
        stopping("listed", "{sender.address: listed@example.com, login: {in: listed}}"),
        stopping("filed", "{sender.address: filed@example.com, login: {in: filed}}"),
        stopping("conditioned", "{use: named}"),
        stopping("exempted"),
        f"  - {{id: exempting, when: {{sender.address: exempted@example.com}}, do: {{exempt: exempted}}{bad}}}\n",
        stopping("skipped", more=", whenn: x") if edited else "",
        stopping("deferring", more=", whenn: x, on_invalid: defer") if edited else "",
    ]
    return f"version: 1\n{lists}{conditions}rules:\n{''.join(rules)}...\n"


WANTED = {
    "active": "550 5.7.1 active v2",
    "stale": "550 5.7.1 stale v1",
    "shadowed": "accept",
    "off": "accept",
    "expired": "accept",
    "listed": "550 5.7.1 listed v1",
    "filed": "550 5.7.1 filed v1",
    "conditioned": "550 5.7.1 conditioned v1",
    "exempted": "451 4.3.0",
    "skipped": "accept",
    "deferring": "451 4.3.0",
}


def answers(daemon: Daemon) -> dict[str, str]:
    """The reply to the sender of each rule, without its reference."""
    found = {}
    for name in WANTED:
        session = Session(daemon.socket)
        session.greet()
        reply = session.envelope(sender=f"{name}@example.com") or session.content()
        found[name] = reply.partition(" (")[0][: len(WANTED[name])]
        session.close()
    return found


def test_ten_entries_in_ten_states(folder: Path) -> None:
    """Edits good and bad, then every source is deleted: after a restart each serves its own last valid text."""
    with Daemon(folder, workers=1) as daemon:
        (daemon.policies / "filed.txt").write_text("alice\n")
        daemon.policy(policy(edited=False))
        daemon.start()
        (daemon.policies / "filed.txt").write_text("")
        daemon.policy(policy(edited=True))
        until(lambda: answers(daemon)["active"] == WANTED["active"], "the edit is in force")
        assert WANTED == answers(daemon)
        daemon.stop()
        shutil.rmtree(daemon.policies)
        daemon.start()
        assert WANTED == answers(daemon)
        daemon.stop()
        daemon.policies.mkdir()
        daemon.start()
        assert WANTED == answers(daemon)
