"""Whole rules: what they do, when, for whom, and the defaults."""

from __future__ import annotations

import pytest

from tests.builders.policies import HOLD, a_rule, codes, load_text, the_rule
from tidegate.model import (
    AddHeader,
    AddRecipient,
    Bcc,
    Disposition,
    Edit,
    Ending,
    ExceptClause,
    OnError,
    OnUninspected,
    PrefixSubject,
    Redirect,
    RemoveHeader,
    RemoveRecipient,
    ReplyTemplate,
    Sample,
    Schedule,
    SetHeader,
    SetSender,
    Template,
)
from tidegate.policy.texts import check_template, with_reference

ENDINGS: dict[str, Ending] = {
    '{reject: {code: "553 5.7.27", text: "No ({ref})"}}': Ending(
        Disposition.REJECT, ReplyTemplate(553, "5.7.27", Template("No ({ref})"))
    ),
    '{reject: {text: "No"}}': Ending(Disposition.REJECT, ReplyTemplate(550, "5.7.1", Template("No ({ref})"))),
    '{defer: {text: "{ref}: later"}}': Ending(Disposition.DEFER, ReplyTemplate(451, "4.7.1", Template("{ref}: later"))),
    HOLD: Ending(Disposition.HOLD, reason=Template("Look at it")),
    "{discard: {confirm: true}}": Ending(Disposition.DISCARD),
}


@pytest.mark.parametrize("do", ENDINGS)
def test_dispositions(do: str) -> None:
    """Codes have defaults, and every refusal carries its reference."""
    assert ENDINGS[do] == the_rule(load_text(a_rule(do=do))).do.ending


EDITS: dict[str, tuple[Edit, ...]] = {
    "{add_header: {X-A: one, X-B: [two, three]}}": (
        AddHeader("X-A", (Template("one"),)),
        AddHeader("X-B", (Template("two"), Template("three"))),
    ),
    "{set_header: {X-A: Größe {rule}}}".replace("Größe {rule}", "'Größe {rule}'"): (
        SetHeader("X-A", (Template("Größe {rule}"),)),
    ),
    "{remove_header: [X-A, X-B]}": (RemoveHeader("X-A"), RemoveHeader("X-B")),
    '{prefix_subject: "[EXT] "}': (PrefixSubject(Template("[EXT] ")),),
    "{add_rcpt: A@Example.NET, bcc: [b@example.net]}": (AddRecipient("A@example.net"), Bcc("b@example.net")),
    "{remove_rcpt: matched}": (RemoveRecipient(None),),
    "{remove_rcpt: [a@example.net]}": (RemoveRecipient("a@example.net"),),
    "{redirect: q@example.net}": (Redirect("q@example.net"),),
    "{redirect: {matched: q@example.net}}": (Redirect("q@example.net", matched=True),),
    '{set_sender: "<>"}': (SetSender(""),),
}


@pytest.mark.parametrize("do", EDITS)
def test_edits(do: str) -> None:
    """In the order in which they are written."""
    assert EDITS[do] == the_rule(load_text(a_rule("{any_rcpt: {external: true}}", do))).do.edits


@pytest.mark.parametrize(
    ("do", "wanted"),
    [
        ("{add_header: {X-A: one}}", OnError.SKIP),
        ("{prefix_subject: x}", OnError.SKIP),
        ("{bcc: a@example.net}", OnError.DEFER),
        ("{set_sender: a@example.net}", OnError.DEFER),
        ("{hold: {reason: x}, add_header: {X-A: one}}", OnError.DEFER),
    ],
)
def test_what_a_doubt_does_unless_the_rule_says(do: str, wanted: OnError) -> None:
    """It is skipped where only headers are touched, and defers otherwise."""
    rule = the_rule(load_text(a_rule(do=do)))
    assert (wanted, OnUninspected.SKIP) == (rule.on_error, rule.on_uninspected)


def test_an_exempt_defers() -> None:
    """Its doubt is never skipped."""
    strict = f"{{id: s, when: always, do: {HOLD}}}"
    text = f"version: 1\nrules: [{strict}, {{id: r, when: always, do: {{exempt: s}}}}]\n...\n"
    assert OnError.DEFER is the_rule(load_text(text)).on_error


DAY = 86400.0
SCHEDULES: dict[str, Schedule] = {
    "{from: 2027-02-01, until: 2027-02-28}": Schedule(1801440000.0, 1803859200.0),
    "{until: 2027-06-30T18:00}": Schedule(None, 1814378460.0),
    "{until: 2027-06-30T18:00:00}": Schedule(None, 1814378401.0),
    "{until: 2027-06-30T18:00:00+02:00}": Schedule(None, 1814371201.0),
    "{until: 2027-06-30, tz: Europe/Berlin}": Schedule(None, 1814392800.0, tz="Europe/Berlin"),
    "{days: [mon-wed, sun]}": Schedule(days=(0, 1, 2, 6)),
    "{days: fri-mon}": Schedule(days=(0, 4, 5, 6)),
    '{hours: ["08:00-12:00", "22:00-06:00"]}': Schedule(hours=((480, 720), (1320, 360))),
    '{hours: "00:00-24:00"}': Schedule(hours=((0, 1440),)),
}


@pytest.mark.parametrize("active", SCHEDULES)
def test_schedules(active: str) -> None:
    """`until` is inclusive: its day, minute or second is the last."""
    assert SCHEDULES[active] == the_rule(load_text(a_rule(more=f"active: {active}"))).schedule


def test_a_day_of_23_hours_is_a_day() -> None:
    """On 28 March 2027 Berlin's clocks go forward."""
    rule = the_rule(load_text(a_rule(more="active: {from: 2027-03-28, until: 2027-03-28, tz: Europe/Berlin}")))
    assert 23 * 3600.0 == rule.schedule.end - rule.schedule.start


def test_exceptions_and_samples() -> None:
    """An exception has a name and lapses at its end."""
    more = "except: [{name: x, when: always, until: 2027-06-30, ticket: MAIL-1}], sample: {percent: 12.5, by: login}"
    rule = the_rule(load_text(a_rule(more=more)))
    assert (ExceptClause("x", rule.when, 1814400000.0, "MAIL-1"),) == rule.exceptions
    assert Sample(12.5, "login") == rule.sample


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        ("max_stale: 7d", []),
        ("max_stale: soon", ["bad-value"]),
        ("limits: []", ["empty-value"]),
        ("on_error: skip", []),
        ("on_uninspected: reject", []),
        ("tags: all", ["bad-id"]),
        ("ticket: MAIL-1", []),
        ("per_recipient: true", ["per-recipient-action"]),
    ],
)
def test_keys(more: str, wanted: list[str]) -> None:
    """Each key says what is wrong with its value."""
    assert wanted == codes(load_text(a_rule(more=more)))


@pytest.mark.parametrize(
    ("text", "ascii_only", "wrong"),
    [
        ("Fine ({ref})", True, ""),
        ("möglich, déjà vu", True, ""),
        ("Größe 日本", False, ""),
        ("日本", True, "ASCII"),
        ("{{literal}}", True, ""),
        ("{sender.adress}", True, "did you mean `sender.address`?"),
        ("{limit.used} {limit.max} {limit.retry} {limit.name}", True, ""),
        ("{limit.left}", True, "did you mean `limit.retry`?"),
        ("{", True, "brace"),
        ("a\nb", False, "line break"),
        ("a\x1bb", False, "control"),
        ("x" * 401, True, "400"),
        ("  ", True, "empty"),
    ],
)
def test_texts(text: str, ascii_only: bool, wrong: str) -> None:
    """A text that can't be made one safe line is a problem at load."""
    found = check_template(text, ascii_only=ascii_only)
    assert wrong in found
    assert bool(wrong) == bool(found)


@pytest.mark.parametrize(
    ("text", "wanted"), [("No", "No ({ref})"), ("{ref} no", "{ref} no"), ("{{ref}} no", "{{ref}} no ({ref})")]
)
def test_the_reference_is_in_every_refusal(text: str, wanted: str) -> None:
    """Appended where it is missing."""
    assert wanted == with_reference(text)
