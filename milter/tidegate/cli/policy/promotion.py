"""The gates between two environments: what has to say yes before a revision of the lower one goes to the next.

Promises: no data, no answer and no time are no. Each gate says why in words. Refuses: storing anything (promote.py).
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

from tidegate.cli import gates
from tidegate.cli.candidate import with_lists
from tidegate.cli.gates import Answer
from tidegate.cli.output import UnableError
from tidegate.cli.policy.candidate import Checked, check, look
from tidegate.cli.policy.preview import Preview, replicas_of
from tidegate.cli.policy.session import Asked, Session, Standing
from tidegate.cli.replay import Sources
from tidegate.cli.statustext import age
from tidegate.replay.gate import Gate
from tidegate.revisions import Flaw, Node, Revision, read_node
from tidegate.store.connection import StoreError
from tidegate.store.nodes import Heard, heard

_NAMED = 3  # daemons that a gate names


@dataclass(frozen=True, slots=True)
class Passage:
    """A promotion: the revision of the lower environment, and what it is to take the place of."""

    lower: Session
    source: Standing
    upper: Session
    target: Standing
    soak: float  # seconds


def ask(passage: Passage, preview: Preview, asked: Asked) -> tuple[tuple[Answer, ...], Checked | None]:
    """All gates, and what the target would make of it, where that can be told. Raises StoreError of the target."""
    answers = [settled(passage.source), *_signed(passage), fleet(passage)]
    before = passage.target.manifest(time.time())
    after = passage.source.content.manifest
    texts = {**passage.target.content.texts, **passage.source.content.texts}
    try:
        checked = check(passage.upper, before, after, texts)
    except UnableError as error:
        return (*answers, Answer("check", False, error.message)), None
    answers += gates.checked(checked.opened)
    answers.append(_replayed(passage, preview, checked, asked))
    return tuple(answers), checked


def settled(source: Standing) -> Answer:
    """Is the revision there for good?"""
    revision = source.content.revision
    if revision is not None and revision.expires is not None:
        text = f"revision {revision.number} of {revision.environment} reverts by itself: tidegate policy confirm"
        return Answer("settled", False, text)
    return Answer("settled", True, "it is there for good")


def _signed(passage: Passage) -> tuple[Answer, ...]:
    """Where the target demands signatures: has somebody signed it below, so that nobody signs for a stranger above?"""
    trust, revision = passage.upper.settings.trust, passage.source.content.revision
    if trust is None or revision is None:
        return ()
    doubt = (passage.lower.settings.trust or trust).doubt(revision)
    name = f"revision {revision.number} of {revision.environment}"
    if doubt is not None:
        return (Answer("signed", False, f"{name} is not to be trusted: {doubt.why}"),)
    return (Answer("signed", True, f"{name} is signed by {trust.name_of(revision.key)}"),)


def fleet(passage: Passage) -> Answer:
    """Has every daemon of the lower environment run it long enough, with nothing that is not in force as written?"""
    revision = passage.source.content.revision
    assert revision is not None
    try:
        found = heard(passage.lower.revisions.link)
    except StoreError as error:
        return Answer("fleet", False, error.why)
    return clean(found, revision, passage.soak, time.time())


def clean(found: Iterable[Heard], revision: Revision, soak: float, now: float) -> Answer:
    """The same of what daemons said. `now` in POSIX seconds."""
    told = {one.name: _objection(one, revision, soak, now) for one in found}
    if not told:
        text = f"no daemon of {revision.environment} was heard of: no data is no pass"
        return Answer("fleet", False, text)
    wrong = [f"{name} {why}" for name, why in told.items() if why]
    if wrong:
        more = f"; and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
        return Answer("fleet", False, f"{'; '.join(wrong[:_NAMED])}{more}")
    several = "daemon runs" if len(told) == 1 else "daemons run"
    return Answer("fleet", True, f"{len(told)} {several} revision {revision.number}, for {age(soak)} at least")


def _objection(one: Heard, revision: Revision, soak: float, now: float) -> str:
    """Why this daemon does not speak for the revision; "": it does."""
    if not one.report:
        return f"has been silent for {age(now - one.seen)}"
    node = read_node(one.report)
    if isinstance(node, Flaw):
        return f"says what can't be read: {node}"
    if (node.revision, node.loaded, node.manifest) != (revision.number, revision.number, revision.manifest):
        return f"runs revision {node.revision}{_trial(node)}, not {revision.number}"
    if node.canary or node.current < node.workers or not node.workers:
        return f"has revision {revision.number} not in force on all its workers"
    if node.unready:
        return f"judges no mail: {node.unready}"
    if node.troubled:
        return f"has entries that are not in force as written: {', '.join(node.troubled[:_NAMED])}"
    ran = node.at - max(node.since, node.clean) if node.since and node.clean else 0  # all by its own clock
    if ran < soak:
        return f"has run it undisturbed for {age(max(0.0, float(ran)))}, and {age(soak)} are wanted"
    return ""


def _trial(node: Node) -> str:
    return f" ({node.loaded} on trial)" if node.canary else ""


def _replayed(passage: Passage, preview: Preview, checked: Checked, asked: Asked) -> Answer:
    """Does the mail of the target keep its verdicts?"""
    target, opened = passage.target, passage.upper
    try:
        replicas = replicas_of(opened, asked)
        before = look(opened, target.manifest(time.time()), target.content.texts)
    except UnableError as error:
        return Answer("replay", False, error.message)
    sources = Sources(opened.settings.state, preview.mail, preview.since, opened.conventions)
    gate = Gate() if preview.max_change is None else Gate(preview.max_change)
    now, then = (with_lists(one, replicas)[0] for one in (before, checked.opened))
    return gates.replayed(now, then, sources, gate)
