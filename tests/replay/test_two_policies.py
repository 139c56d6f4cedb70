"""Two policies over the same messages: what is counted, and what can't be known is never taken for unchanged."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from tests.builders.kept import HEADERS, a_kept
from tests.builders.policies import a_policy, load_text
from tests.builders.transactions import NOW
from tidegate import image
from tidegate.model import Disposition, PolicySet
from tidegate.replay import Kept
from tidegate.replay.compare import Comparing, Comparison
from tidegate.replay.gate import BEYOND, PASS, UNTOLD, Gate, percent

REJECT = '{reject: {code: "550 5.7.1", text: stop}}'
NOTHING = a_policy("rules: []")


def generation(text: str) -> PolicySet:
    """The generation of such a policy."""
    return image.Generation(image.build(load_text(text).loaded, 1))


def compared(before: str, after: str, messages: Iterable[Kept], examples: int = 3) -> Comparison:
    comparing = Comparing(generation(before), generation(after), examples)
    for one in messages:
        comparing.take(one)
    return comparing.found


def rules(*rows: str) -> str:
    """A policy of rules in flow style, without their braces."""
    return a_policy("rules:\n" + "\n".join(f"- {{{row}}}" for row in rows))


def told(found: Comparison) -> list[tuple[str, str, str, str, int, int]]:
    """The changes: from, to, rules, messages, senders."""
    return [
        (one.before, one.after, one.rule_before, one.rule, one.count, len(one.senders))
        for one in found.changes.values()
    ]


def mail(count: int, login: str = "alice@example.com", **more: object) -> list[Kept]:
    return [
        a_kept(time=NOW + number, login=login, sender=login, reference=f"R{number}", **more)  # type: ignore[arg-type]
        for number in range(count)
    ]


STOP_MALLORY = rules(f"id: stop, when: {{login: mallory@example.com}}, do: {REJECT}")


def test_the_same_policy_changes_nothing() -> None:
    """Whatever it does."""
    found = compared(STOP_MALLORY, STOP_MALLORY, [*mail(3), *mail(2, "mallory@example.com")])
    assert (5, 5, 0, 0, 0.0, 1.0) == (
        found.messages,
        found.judged,
        found.changed,
        found.elsewhere,
        found.share,
        found.known,
    )
    assert found.cpu[0] > 0
    assert found.cpu[1] > 0


def test_who_is_stopped_by_a_new_rule() -> None:
    """So many messages of so many senders, with examples, and how often each rule matches."""
    found = compared(NOTHING, STOP_MALLORY, [*mail(3), *mail(4, "mallory@example.com")], examples=2)
    assert [("accept", "reject", "", "stop", 4, 1)] == told(found)
    (change,) = found.changes.values()
    assert [("R0", "mallory@example.com"), ("R1", "mallory@example.com")] == [
        (one.reference, one.login) for one in change.examples
    ]
    assert change.stricter
    assert (7, 4, 4, 4 / 7) == (found.judged, found.changed, found.stricter, found.share)
    assert (0, 4) == (found.rules["stop"].before, found.rules["stop"].after)
    assert (NOW, NOW + 3) == (found.first, found.last)


def test_who_goes_on_without_a_rule() -> None:
    """The rule that is gone is named; that is no stricter verdict."""
    found = compared(STOP_MALLORY, NOTHING, mail(2, "mallory@example.com"))
    assert [("reject", "accept", "stop", "", 2, 1)] == told(found)
    assert 0 == found.stricter


def test_another_reply_is_no_change() -> None:
    """Nor is another rule that does the same; that is told beside."""
    other = rules('id: other, when: {login: mallory@example.com}, do: {reject: {code: "550 5.7.1", text: "no {ref}"}}')
    found = compared(STOP_MALLORY, other, mail(2, "mallory@example.com"))
    assert ([], 2) == (told(found), found.elsewhere)


HEADER = 'do: {{add_header: {{X-Seen: "{}"}}}}'


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("{X}", "{Y}", [("accept, edited", "accept, edited, otherwise", "", "", 2, 1)]),
        ("", "{X}", [("accept", "accept, edited", "", "tag", 2, 1)]),
        ("{X}", "", [("accept, edited", "accept", "tag", "", 2, 1)]),
        ("{X}", "{X}", []),
    ],
)
def test_edits(before: str, after: str, expected: list[tuple[str, str, str, str, int, int]]) -> None:
    """A message that arrives with something else in it has another verdict."""
    texts = [rules(f"id: tag, when: always, {HEADER.format(one[1])}") if one else NOTHING for one in (before, after)]
    assert expected == told(compared(*texts, mail(2)))


def test_recipients_at_rcpt() -> None:
    """One of two is refused; one that was refused is accepted by the candidate, as far as its message is known."""
    near = rules(f"id: near, per_recipient: true, when: {{rcpt.domain: example.org}}, do: {REJECT}")
    both = [a_kept(rcpt=["a@example.org", "b@example.net"])]
    found = compared(NOTHING, near, both)
    assert [("accept", "accept, some recipients refused", "", "near", 1, 1)] == told(found)
    assert 1 == found.stricter
    back = compared(near, NOTHING, [a_kept(rcpt=["b@example.net"], refused=["a@example.org"])])
    assert [("accept, some recipients refused", "accept", "near", "", 1, 1)] == told(back)
    alone = compared(near, NOTHING, [a_kept(rcpt=[], refused=["a@example.org"], message=False)])
    assert (1, 0, {"message": 1}) == (alone.messages, alone.judged, alone.missing)
    assert 1 == compared(near, near, [a_kept(rcpt=[], refused=["a@example.org"], message=False)]).judged


def test_what_was_not_kept_is_not_replayable() -> None:
    """Where the answer depends on it; a message of which it does not is judged."""
    asks = rules(f"id: mailer, when: {{login: alice@example.com, header.x-mailer: Swift}}, do: {REJECT}")
    found = compared(NOTHING, asks, [*mail(3), *mail(2, "bob@example.com")])
    assert (5, 2, 3, 0) == (found.messages, found.judged, found.unreplayable, found.changed)
    assert ({"header.x-mailer": 3}, {"mailer": 3}) == (found.missing, found.missed_by)
    known = mail(3, known=["header.x-mailer"])
    assert [("accept", "reject", "", "mailer", 3, 1)] == told(compared(NOTHING, asks, known))


def test_what_an_edit_is_made_of_may_be_missing() -> None:
    """The rule matches for certain; what it writes nobody knows."""
    marks = rules('id: mark, when: always, do: {prefix_subject: "[x] "}')
    found = compared(NOTHING, marks, mail(2, known=["header.from"]))
    assert (0, {"header.subject": 2}, {"mark": 2}) == (found.judged, found.missing, found.missed_by)
    assert 2 == compared(NOTHING, marks, mail(2)).changed


def test_rules_in_shadow_change_nothing_but_are_counted() -> None:
    """How often they match is what one puts them into shadow for."""
    shadow = rules(f"id: stop, mode: shadow, when: always, do: {REJECT}")
    found = compared(NOTHING, shadow, mail(3))
    assert ([], (0, 3)) == (told(found), (found.rules["stop"].before, found.rules["stop"].after))


def test_the_clock_is_the_messages() -> None:
    """A schedule that was over when the mail came is over for it."""
    over = rules(f"id: stop, active: {{until: 2027-01-15T08:00:02Z}}, when: always, do: {REJECT}")
    assert 3 == compared(NOTHING, over, mail(6)).changed


def test_what_was_another_verdict_when_it_came() -> None:
    """By the policy that is in force now: something decided that is not replayed."""
    policies = generation(NOTHING)
    one = a_kept(verdict=Disposition.DEFER, rule="limit")
    comparing = Comparing(policies, policies)
    comparing.take(one)
    assert 0 == comparing.found.recorded_otherwise
    same = a_kept(verdict=Disposition.DEFER)
    assert same.verdict is not None
    found = Comparing(policies, policies)
    found.take(_by(same, policies.digest))
    assert (1, 0) == (found.found.recorded_otherwise, found.found.changed)


def _by(one: Kept, digest: str) -> Kept:
    assert one.verdict is not None
    return replace(one, verdict=replace(one.verdict, digest=digest))


def test_more_ways_of_change_than_are_told_apart() -> None:
    """Memory is bounded: they are counted together."""
    many = rules(*(f"id: r{n}, when: {{login: u{n}}}, do: {REJECT}" for n in range(1010)))
    found = compared(NOTHING, many, [one for n in range(1010) for one in mail(1, f"u{n}")])
    assert (1010, 1001, 10) == (found.changed, len(found.changes), found.changes["(others)", "(others)", "", ""].count)


def test_headers_are_what_a_message_file_has() -> None:
    """Of a file everything is known."""
    asks = rules(f"id: mailer, when: {{header.x-mailer: Swift}}, do: {REJECT}")
    one = replace(a_kept(known=["header.from", "header.subject", "header.x-mailer"], headers=HEADERS), known=None)
    assert 1 == compared(NOTHING, asks, [one]).changed


def comparison(messages: int, judged: int, changed: int) -> Comparison:
    found = Comparison()
    found.messages, found.judged, found.changed = messages, judged, changed
    return found


@pytest.mark.parametrize(
    ("found", "lost", "code", "reason"),
    [
        (comparison(0, 0, 0), 0, UNTOLD, "no data is no pass"),
        (comparison(100, 100, 0), 1, UNTOLD, "can't be read"),
        (comparison(100, 49, 0), 0, UNTOLD, "only 49 % of the messages can be replayed, and 50 % have to be"),
        (comparison(100, 0, 0), 0, UNTOLD, "only 0 %"),
        (comparison(1000, 1000, 11), 0, BEYOND, "1.1 % of the verdicts change, and 1 % may"),
        (comparison(1000, 1000, 10), 0, PASS, "1 % of the verdicts change, and 1 % may"),
        (comparison(2000, 1000, 0), 0, PASS, "0 % of the verdicts change"),
    ],
)
def test_the_gate(found: Comparison, lost: int, code: int, reason: str) -> None:
    """0 within, 1 beyond, 2 where it can't be told."""
    decision = Gate().decide(found, lost)
    assert code == decision.code
    assert reason in decision.reason


def test_nothing_judged_is_no_pass_whatever_the_gate_allows() -> None:
    """--min-judged 0% does not make data of nothing."""
    assert UNTOLD == Gate(1.0, 0.0).decide(comparison(10, 0, 0), 0).code


@pytest.mark.parametrize(
    ("share", "text"), [(0.0, "0 %"), (0.01, "1 %"), (0.12345, "12.35 %"), (0.00001, "less than 0.01 %"), (1, "100 %")]
)
def test_shares(share: float, text: str) -> None:
    """What is not nothing never looks like it."""
    assert text == percent(share)
