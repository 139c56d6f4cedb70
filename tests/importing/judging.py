"""What an imported policy makes of a message, by the engine itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tests.builders.transactions import NOW, a_transaction
from tidegate.cli.policies import files_of, open_sources
from tidegate.engine.judge import judge, judge_recipient
from tidegate.image import Generation
from tidegate.importing import Imported, text_of
from tidegate.model import Conventions, Disposition, Recipient, Severity, Source, Verdict


def opened(imported: Imported) -> Generation:
    """The policy as the daemon would have it in force; it has no problem of any severity."""
    text = text_of(imported, "a test")
    _, generation, problems = open_sources((Source("imported.yaml", text.encode()),), files_of("."), Conventions())
    assert [] == [one for one in problems if one.severity is Severity.ERROR], text
    return generation


def verdict(
    generation: Generation,
    sender: str = "alice@example.com",
    rcpt: Sequence[str] = ("bob@example.net",),
    client: str = "192.0.2.10",
    name: str = "client.example.com",
    helo: str = "client.example.com",
    login: str = "",
    size: int = 1000,
) -> Verdict:
    """On the whole message."""
    message = a_transaction(sender, login, rcpt, client=client, name=name, helo=helo, size=size)
    return judge(message, generation, NOW)


def at_rcpt(generation: Generation, recipient: str) -> Disposition:
    """On one recipient, at RCPT."""
    message = replace(a_transaction(login="", rcpt=(recipient,)), message=None)
    found = judge_recipient(message, Recipient(recipient, recipient), generation, NOW)
    return Disposition.ACCEPT if found is None else found.disposition
