"""postfwd rulesets as rules: the verdict is that of the first rule that matches."""

from __future__ import annotations

import random

import pytest

from tests.importing.judging import at_rcpt, opened, verdict
from tidegate.importing.postfwd import imported
from tidegate.model import Disposition

ACCEPT, DISCARD, HOLD, DEFER, REJECT = Disposition


def _nothing(_path: str) -> str | None:
    return None


TESTS = {
    "equals": ("sender==x@b.example", {"sender": "X@b.example"}, {"sender": "ax@b.example"}),
    "a-pattern-anywhere": ("sender=b\\.example", {"sender": "x@b.example"}, {"sender": "x@c.example"}),
    "a-pattern-between-slashes": ("sender=~/^x@.*e$/", {"sender": "x@b.example"}, {"sender": "ax@b.example"}),
    "begins": ("sender=^x@", {"sender": "x@b.example"}, {"sender": "ax@b.example"}),
    "ends": ("sender=@b\\.example$", {"sender": "x@b.example"}, {"sender": "x@b.example.net"}),
    "not-equal": ("sender!=x@b.example", {"sender": "y@b.example"}, {"sender": "x@b.example"}),
    "negated": ("sender=!!(^x@)", {"sender": "y@b.example"}, {"sender": "x@b.example"}),
    "several-are-any": (
        "sender==x@b.example; sender==y@b.example",
        {"sender": "y@b.example"},
        {"sender": "z@b.example"},
    ),
    "different-are-all": (
        "sender_domain==b.example; client_address=192.0.2.0/24",
        {"sender": "x@b.example", "client": "192.0.2.7"},
        {"sender": "x@b.example", "client": "198.51.100.1"},
    ),
    "addresses-with-commas": (
        "client_address=10.0.0.1, 192.0.2.0/28",
        {"client": "192.0.2.7"},
        {"client": "192.0.2.77"},
    ),
    "addresses-negated": ("client_address=!!(192.0.2.7)", {"client": "192.0.2.8"}, {"client": "192.0.2.7"}),
    "a-login": ("sasl_username=~/^(bob|alice)$/", {"login": "bob"}, {"login": "bobby"}),
    "no-login": ("sasl_username=!!(.)", {}, {"login": "bob"}),
    "a-name-unknown": ("client_name==unknown", {"name": ""}, {"name": "h.example"}),
    "helo": ("helo_name=^localhost", {"helo": "localhost"}, {"helo": "h.example"}),
    "size-alone-is-at-least": ("size=2000", {"size": 2000}, {"size": 1999}),
    "size-at-most": ("size=<2000", {"size": 2000}, {"size": 2001}),
    "size-not-at-most": ("size!<2000", {"size": 2001}, {"size": 2000}),
    "recipients": ("recipient_count>2", {"rcpt": ("a@x.example", "b@x.example", "c@x.example")}, {}),
}


@pytest.mark.parametrize("case", TESTS)
def test_an_item_means_what_it_means_there(case: str) -> None:
    """Operators, negation, several of one name."""
    items, fits, other = TESTS[case]
    found = imported(f"id=R1; {items}; action=REJECT no\n", _nothing)
    assert found.untranslated == ()
    generation = opened(found)
    assert verdict(generation, **fits).disposition is REJECT  # type: ignore[arg-type]
    assert verdict(generation, **other).disposition is ACCEPT  # type: ignore[arg-type]


RULES = [
    "sender=^x@",
    "sender_domain==b.example",
    "sender_localpart==y",
    "client_address=192.0.2.0/28",
    "sender=example$",
]
ACTIONS = {"dunno": ACCEPT, "OK": ACCEPT, "REJECT no": REJECT, "450 4.7.1 later": DEFER, "HOLD look": HOLD}


@pytest.mark.parametrize("seed", range(15))
def test_the_first_rule_that_matches_decides(seed: int) -> None:
    """Random orders: what postfwd would come to, for every sender and client."""
    chance = random.Random(seed)
    rules = [(chance.choice(RULES), chance.choice(list(ACTIONS))) for _ in range(6)]
    text = "".join(f"id=R{number}; {items}; action={action}\n" for number, (items, action) in enumerate(rules))
    generation = opened(imported(text, _nothing))
    for sender in ("x@b.example", "y@b.example", "x@c.example", "y@c.example", "z@net.test"):
        for client in ("192.0.2.7", "198.51.100.1"):
            expected = next((ACTIONS[act] for items, act in rules if _matches(items, sender, client)), ACCEPT)
            assert verdict(generation, sender=sender, client=client).disposition is expected, (text, sender, client)


def _matches(items: str, sender: str, client: str) -> bool:
    local, _, domain = sender.partition("@")
    return {
        "sender=^x@": local == "x",
        "sender_domain==b.example": domain == "b.example",
        "sender_localpart==y": local == "y",
        "client_address=192.0.2.0/28": client == "192.0.2.7",
        "sender=example$": sender.endswith("example"),
    }[items]


def test_a_recipient_is_answered_alone() -> None:
    """A rule behind one that permits a recipient excepts that recipient."""
    text = "id=P; recipient=^postmaster@; action=dunno\nid=R; recipient_domain==b.example; action=REJECT no\n"
    generation = opened(imported(text, _nothing))
    assert at_rcpt(generation, "x@b.example") is REJECT
    assert at_rcpt(generation, "postmaster@b.example") is ACCEPT
    assert at_rcpt(generation, "x@c.example") is ACCEPT


FORMS = {
    "macros": "&&BAD { sender==x@b.example; sender==y@b.example; };\nid=R; &&BAD; action=REJECT no\n",
    "macros-in-macros": "&&A { sender==x@b.example; };\n&&B { &&A; };\nid=R; &&B; action=REJECT no\n",
    "a-macro-over-lines": "&&BAD {\n   sender==x@b.example\n};\nid=R; &&BAD; action=REJECT no\n",
    "lines-that-go-on": "id=R\n   sender==x@b.example # who\n   action=REJECT no\n",
    "backslashes": "id=R; \\\n sender==x@b.example; \\\n action=REJECT no\n",
    "action-first": "action=REJECT no ; sender==x@b.example\n",
    "a-file": "id=R; sender==file:/list; action=REJECT no\n",
    "a-table": "id=R; sender==table:/table; action=REJECT no\n",
    "a-file-in-a-file": "id=R; sender==file:/files; action=REJECT no\n",
}
FILES = {"/list": "# who\nx@b.example\n", "/table": "x@b.example  REJECT\n", "/files": "file:/list\n"}


@pytest.mark.parametrize("form", FORMS)
def test_a_ruleset_is_read_in_each_of_its_forms(form: str) -> None:
    """Macros, lines that go on, files of items."""
    found = imported(FORMS[form], FILES.get)
    assert found.untranslated == ()
    generation = opened(found)
    assert verdict(generation, sender="x@b.example").disposition is REJECT
    assert verdict(generation, sender="z@b.example").disposition is ACCEPT


UNTRANSLATED = {
    "dns": ("rbl=zen.example; action=REJECT", "rbl has no field"),
    "a-score": ("sender==x@b.example; action=score(+1)", "score() has no equal"),
    "a-jump": ("sender==x@b.example; action=jump(R9)", "jump() has no equal"),
    "another-server": ("action=ask(127.0.0.1:10031)", "ask() has no equal"),
    "a-comparison": ("client_name=!!$$helo_name; action=REJECT", "compared with each other"),
    "a-name-in-a-reply": ("sender==x@b.example; action=REJECT no $$helo_name", "by hand"),
    "a-file-gone": ("sender==file:/gone; action=REJECT", "can't be read"),
    "no-action": ("sender==x@b.example", "no action"),
    "no-macro": ("&&NONE; action=REJECT", "no macro"),
    "no-item": ("sender; action=REJECT", "no ITEM=VALUE"),
    "a-size-of-one-recipient": ("recipient==x@b.example; size=100; action=REJECT", "not known"),
    "a-limit-on-recipients": (
        "recipient==x@b.example; action=rate(sender/3/60/450 4.7.1 later)",
        "about one recipient",
    ),
    "a-limit-by-recipient": ("action=rate(recipient/3/60/450 4.7.1 later)", "one value"),
}


@pytest.mark.parametrize("case", UNTRANSLATED)
def test_what_has_no_equal_is_told_with_its_line(case: str) -> None:
    """Never left out in silence."""
    text, why = UNTRANSLATED[case]
    found = imported(f"# a comment\nid=R1; {text}\n", _nothing)
    assert [one.line for one in found.untranslated] == [2]
    assert why in found.untranslated[0].why


def test_behind_a_rule_that_is_left_out_nothing_is_certain() -> None:
    """It might have ended the search for whom a later rule would refuse."""
    text = "id=A; rbl=zen.example; action=dunno\nid=B; sender==x@b.example; action=REJECT no\n"
    found = imported(text, _nothing)
    assert found.rules == ()
    assert [one.line for one in found.untranslated] == [1, 2]
    assert "rule A stands before it" in found.untranslated[1].why


def test_an_id_that_is_used_twice_is_told() -> None:
    """Ours would both be left out."""
    text = "id=A; sender==x@b.example; action=REJECT\nid=A; sender==y@b.example; action=REJECT\n"
    assert "used twice" in imported(text, _nothing).untranslated[0].why


def test_hours_and_days_become_active() -> None:
    """`days` and `time`; an exception can't have them, so a rule that permits by the clock is told."""
    found = imported("id=A; days=Mon-Fri; time=08:00:00-17:00:00; action=REJECT no\n", _nothing)
    assert found.rules[0].active == {"days": "mon-fri", "hours": "08:00-17:00"}
    opened(found)
    assert imported("id=A; days=Mon-Fri; action=dunno\n", _nothing).untranslated


@pytest.mark.parametrize(
    "text", ["", "# nothing\n", "&&X { };\n", ";;;\n", "id=\n", "}\n", "\\\n", "&&X { &&X; };\n&&X\n"]
)
def test_what_is_no_ruleset_raises_nothing(text: str) -> None:
    """Whatever the file holds, it is told and not raised."""
    assert imported(text, _nothing).rules == ()
