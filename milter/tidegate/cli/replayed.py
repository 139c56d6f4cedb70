"""What a replay found, for a person and for programs. Senders and logins are masked unless somebody asked for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from tidegate.cli.statustext import moment, several
from tidegate.observe.masking import masked
from tidegate.replay import Reading
from tidegate.replay.compare import Change, Comparison, Example, Matches
from tidegate.replay.folder import Files
from tidegate.replay.gate import Decision, percent

_RULES = 20  # that are named
_FILES = 5
_FEW = 1000  # judged messages below which a ratio of times says little

Hide = Callable[[str], str]


def _hide(unmask: bool) -> Hide:
    return str if unmask else masked


def document(
    found: Comparison, read: Reading | Files, decision: Decision, *, unmask: bool, policy_errors: int = 0
) -> dict[str, Any]:
    """For `--json`. Shares are from 0 to 1, times POSIX seconds."""
    hide = _hide(unmask)
    return {
        "messages": found.messages,
        "judged": found.judged,
        "first": found.first or None,
        "last": found.last or None,
        "changed": found.changed,
        "share": found.share,
        "stricter": found.stricter,
        "limits": found.limits,
        "by_another_rule": found.elsewhere,
        "recorded_otherwise": found.recorded_otherwise,
        "changes": [_change(one, hide) for one in _by_count(found)],
        "rules": {rule: {"before": one.before, "after": one.after} for rule, one in _moved(found)},
        "not_replayable": {
            "messages": found.unreplayable,
            "share": found.unreplayable / found.messages if found.messages else 0.0,
            "missing": dict(sorted(found.missing.items())),
            "rules": dict(sorted(found.missed_by.items())),
        },
        "unreadable": _lost(read),
        "cpu": {
            "before": found.cpu[0] / 1e9,
            "after": found.cpu[1] / 1e9,
            "ratio": round(found.ratio, 3),
        },
        "policy_errors": policy_errors,
        "exit": decision.code,
        "reason": decision.reason,
    }


def _change(one: Change, hide: Hide) -> dict[str, Any]:
    return {
        "before": one.before,
        "after": one.after,
        "rule_before": one.rule_before,
        "rule": one.rule,
        "stricter": one.stricter,
        "messages": one.count,
        "senders": len(one.senders),
        "examples": [
            {
                "time": example.time,
                "ref": example.reference,
                "queue_id": example.queue_id,
                "sender": hide(example.sender) or "<>",
                "login": hide(example.login),
            }
            for example in one.examples
        ],
    }


def _lost(read: Reading | Files) -> dict[str, Any]:
    if isinstance(read, Reading):
        return {"damaged": read.damaged, "without_key": read.locked}
    files = [{"file": path, "why": why} for path, why in read.reasons]
    return {"files": read.unusable, "named": files, "envelope_from_headers": read.guessed}


def text(found: Comparison, read: Reading | Files, decision: Decision, *, unmask: bool) -> Iterator[str]:
    """Lines for a person."""
    hide = _hide(unmask)
    if found.messages:
        span = f" from {moment(found.first)} to {moment(found.last)}"
        yield f"{several(found.messages, 'message')}{span}, {found.judged} judged by both"
    yield from _unread(read)
    yield from _unreplayable(found)
    if found.judged:
        yield f"{several(found.changed, 'verdict')} of {found.judged} ({percent(found.share)}) would be another" + (
            f", {found.stricter} of them stricter" if found.stricter else ""
        )
    for one in _by_count(found):
        yield f"  {_headline(one)}"
        yield from (f"      {_example(example, hide)}" for example in one.examples)
        hidden = one.count - len(one.examples)
        if hidden and one.examples:
            yield f"      … and {hidden} more"
    yield from _rest(found)
    yield decision.reason


def _unread(read: Reading | Files) -> Iterator[str]:
    if isinstance(read, Reading):
        if read.locked:
            yield f"{read.locked} blocks can't be read: the key with which they were sealed is gone"
        if read.damaged:
            yield f"{read.damaged} blocks are damaged, and were skipped"
        return
    for path, why in read.reasons[:_FILES]:
        yield f"{path}: {why}"
    if read.unusable > _FILES:
        yield f"… and {read.unusable - _FILES} files more that can't be used"
    if read.guessed:
        yield f"{several(read.guessed, 'message')} without an envelope: it was read from their headers"


def _unreplayable(found: Comparison) -> Iterator[str]:
    if not found.unreplayable:
        return
    share = percent(found.unreplayable / found.messages)
    yield f"{found.unreplayable} not replayable ({share}): what these rules ask for was not kept"
    for need, count in sorted(found.missing.items()):
        yield f"  {need}: {several(count, 'message')}"
    named = sorted(found.missed_by, key=_count_of(found.missed_by), reverse=True)
    if named:
        yield f"  asked for by {', '.join(named[:_RULES])}{', …' if len(named) > _RULES else ''}"


def _count_of(counts: Mapping[str, int]) -> Callable[[str], tuple[int, str]]:
    def key(name: str) -> tuple[int, str]:
        return counts[name], name

    return key


def _by_count(found: Comparison) -> Sequence[Change]:
    def key(one: Change) -> tuple[int, str, str]:
        return -one.count, one.after, one.rule

    return sorted(found.changes.values(), key=key)


def _headline(one: Change) -> str:
    by = f"by {one.rule}" if one.rule else "by no rule any more"
    if one.rule_before and one.rule_before != one.rule:
        by += f" (before: {one.rule_before})"
    senders = several(len(one.senders), "sender")
    return f"{one.before} → {one.after}  {by}: {several(one.count, 'message')}, {senders}"


def _example(one: Example, hide: Hide) -> str:
    login = f" (login {hide(one.login)})" if one.login and one.login != one.sender else ""
    parts = [moment(one.time), one.reference, one.queue_id, f"{hide(one.sender) or '<>'}{login}"]
    return "  ".join(part for part in parts if part)


def _moved(found: Comparison) -> list[tuple[str, Matches]]:
    """The rules that match more or less often, those first that do most."""

    def key(row: tuple[str, Matches]) -> tuple[int, str]:
        return -abs(row[1].after - row[1].before), row[0]

    return sorted(((rule, one) for rule, one in found.rules.items() if one.before != one.after), key=key)


def _rest(found: Comparison) -> Iterator[str]:
    moved = _moved(found)
    if moved:
        yield "rules that match more or less often:"
    yield from (f"  {rule}: {one.before} → {one.after}" for rule, one in moved[:_RULES])
    if len(moved) > _RULES:
        yield f"  … and {len(moved) - _RULES} rules more"
    if found.elsewhere:
        yield f"{several(found.elsewhere, 'verdict')} would be the same by another rule"
    if found.recorded_otherwise:
        yield (
            f"{several(found.recorded_otherwise, 'message')} had another verdict when they came, by the same policy: "
            "a limit, a list from elsewhere, the brake or the deadline decided"
        )
    if found.limits:
        how = "begin with nothing, and count these messages" if found.limits == "simulated" else "are not exceeded"
        yield f"limits: their counters {how}"
    if found.judged:
        few = ", of few messages" if found.judged < _FEW else ""
        yield f"CPU time of a judgement: {found.ratio:.2f} times what it is now{few}"
