"""What becomes of entries: ACTIVE, STALE, SKIPPED, DEFERRING, SHADOW, OFF, EXPIRED, and what a broken one costs."""

from __future__ import annotations

import pytest

from tests.builders.policies import (
    HOLD,
    a_policy,
    a_rule,
    codes,
    errors,
    load_text,
    problems_of,
    rule_key,
    states,
    the_rule,
)
from tests.builders.transactions import NOW, FakePolicies, a_transaction
from tidegate.conditions.facts import Facts
from tidegate.engine.match import answer
from tidegate.model import (
    AllOf,
    Disposition,
    EntryState,
    Exempt,
    Mode,
    Not,
    OnError,
    Recipients,
    Truth,
    Unknowable,
)
from tidegate.model import Test as FieldTest

BOB = "{login: bob}"


def accepted_of(*texts: str) -> dict:
    """The record that a load of valid texts leaves."""
    loaded = load_text(*texts)
    assert [] == errors(loaded.loaded)
    return dict(loaded.loaded.texts)


def test_rules_are_sorted_by_priority_and_id() -> None:
    """Order in the file decides nothing."""
    text = a_policy(f"""
        rules:
          - {{id: z, when: always, do: {HOLD}}}
          - {{id: b, when: always, do: {HOLD}, priority: 10}}
          - {{id: a, when: always, do: {HOLD}}}
    """)
    assert ["b", "a", "z"] == [rule.id for rule in load_text(text).loaded.rules]


def test_a_broken_entry_costs_that_entry() -> None:
    """The others are as they were."""
    text = a_policy(f"""
        rules:
          - {{id: good, when: always, do: {HOLD}}}
          - {{id: bad, when: {{logn: bob}}, do: {HOLD}}}
    """)
    loaded = load_text(text)
    assert {"rule good": "active", "rule bad": "skipped"} == states(loaded)
    assert ["good"] == [rule.id for rule in loaded.loaded.rules if rule.state is not EntryState.SKIPPED]
    assert [rule_key("good")] == list(loaded.loaded.texts)


@pytest.mark.parametrize("mode", ["off", '"off"', "OFF"])
def test_off_is_off(mode: str) -> None:
    """A bare `off`, which YAML takes for false, is the mode `off`; the rule is not in the set, its text is kept."""
    loaded = load_text(a_rule(more=f"mode: {mode}")) if mode != "OFF" else load_text(a_rule(more="mode: Off"))
    assert {"rule r": "off"} == states(loaded)
    assert () == loaded.loaded.rules
    assert [rule_key("r")] == list(loaded.loaded.texts)


def test_shadow_and_expired() -> None:
    """A shadow rule is in the set, one whose `until` is past is not."""
    shadow = load_text(a_rule(more="mode: shadow"))
    assert (Mode.SHADOW, EntryState.SHADOW) == (the_rule(shadow).mode, the_rule(shadow).state)
    expired = load_text(a_rule(more="active: {until: 2026-01-01}"))
    assert {"rule r": "expired"} == states(expired)
    assert () == expired.loaded.rules
    assert ["lapsed"] == codes(expired)


class TestStale:
    """A broken edit does not weaken the policy."""

    def test_the_last_valid_version_serves(self) -> None:
        """By its text, across loads; the reason says what is wrong with the edit."""
        accepted = accepted_of(a_rule(BOB))
        loaded = load_text(a_rule("{logn: eve}"), accepted=accepted)
        entry = loaded.loaded.entries[0]
        assert (EntryState.STALE, accepted) == (entry.state, dict(loaded.loaded.texts))
        assert "logn" in entry.reason
        rule = loaded.loaded.rules[0]
        assert (FieldTest("login", rule.when.operator, ("bob",), kind=rule.when.kind), EntryState.STALE) == (
            rule.when,
            rule.state,
        )
        again = load_text(a_rule("{logn: eve}"), accepted=loaded.loaded.texts)
        assert loaded.loaded.rules == again.loaded.rules

    def test_a_syntax_error_too(self) -> None:
        """The cut finds the entry, the record its last text."""
        accepted = accepted_of(a_rule(BOB))
        text = f"version: 1\nrules:\n  - id: r\n    when: {{login: [bob\n    do: {HOLD}\n...\n"
        assert {"rule r": "stale"} == states(load_text(text, accepted=accepted))

    def test_an_exempt_is_in_doubt(self) -> None:
        """Where last good makes verdicts milder, what it allows is UNKNOWN."""
        strict = f"  - {{id: strict, when: always, do: {HOLD}}}\n"
        good = f"version: 1\nrules:\n{strict}  - {{id: x, when: {BOB}, do: {{exempt: strict}}}}\n...\n"
        bad = f"version: 1\nrules:\n{strict}  - {{id: x, when: {{logn: bob}}, do: {{exempt: strict}}}}\n...\n"
        loaded = load_text(bad, accepted=accepted_of(good))
        rule = next(rule for rule in loaded.loaded.rules if rule.id == "x")
        facts = Facts(a_transaction(login="bob"), FakePolicies([rule]), NOW)
        assert Truth.UNKNOWN is answer(rule, facts)[0]

    @pytest.mark.parametrize(("mode", "state", "count"), [("off", "off", 0), ("shadow", "stale", 1)])
    def test_a_readable_mode_is_obeyed(self, mode: str, state: str, count: int) -> None:
        """Somebody wants it out of force: a typo elsewhere does not stand in the way."""
        loaded = load_text(a_rule("{logn: eve}", more=f"mode: {mode}"), accepted=accepted_of(a_rule(BOB)))
        assert ({"rule r": state}, count) == (states(loaded), len(loaded.loaded.rules))
        assert all(rule.mode is Mode.SHADOW for rule in loaded.loaded.rules)
        assert [rule_key("r")] == list(loaded.loaded.texts)

    @pytest.mark.parametrize("when", ["{login: bob}", "{login: [bob}"], ids=["a line is lost", "and a bracket"])
    def test_the_mode_of_the_rule_behind_it_is_not_its(self, when: str) -> None:
        """The line `- id: b` is lost: what stands behind it, `mode: shadow`, puts nobody out of force."""
        first = f"  - id: a\n    when: {BOB}\n    do: {HOLD}\n"
        second = f"  - id: b\n    mode: shadow\n    when: {BOB}\n    do: {HOLD}\n"
        torn = first.replace(BOB, when) + second.replace("  - id: b\n", "")
        loaded = load_text(
            f"version: 1\nrules:\n{torn}...\n", accepted=accepted_of(f"version: 1\nrules:\n{first}{second}...\n")
        )
        assert {"rule a": "stale", "rule b": "stale"} == states(loaded)
        assert {"a": Mode.ENFORCE, "b": Mode.SHADOW} == {rule.id: rule.mode for rule in loaded.loaded.rules}

    def test_a_duplicate_id_keeps_what_was_in_force(self) -> None:
        """Both texts are a problem; neither is taken."""
        loaded = load_text(a_rule("{login: eve}"), a_rule("{login: mallory}"), accepted=accepted_of(a_rule(BOB)))
        assert ["duplicate-id", "duplicate-id"] == codes(loaded)
        assert {"rule r": "stale"} == states(loaded)
        assert ("bob",) == loaded.loaded.rules[0].when.values

    def test_absence_while_a_file_is_unreadable(self) -> None:
        """An entry that stands nowhere is not gone while a file can't be read."""
        accepted = accepted_of(a_rule(BOB))
        loaded = load_text(lost=["1.yaml"], accepted=accepted)
        assert {"rule r": "stale"} == states(loaded)
        assert accepted == dict(loaded.loaded.texts)

    def test_a_misspelt_section_deletes_nothing(self) -> None:
        """`rulez:` holds entries that nobody reads."""
        loaded = load_text(a_rule(BOB).replace("rules:", "rulez:"), accepted=accepted_of(a_rule(BOB)))
        assert {"rule r": "stale"} == states(loaded)

    @pytest.mark.parametrize(
        "damage",
        [("  - {id: b", "  {id: b"), ("  - {id: b", "    id: b, {"), ("rules:", "rules"), ("  - {id: b", "\t- {id: b")],
        ids=["no dash", "merged", "no colon", "tab"],
    )
    def test_an_entry_behind_a_syntax_error_is_not_gone(self, damage: tuple[str, str]) -> None:
        """Two rules run into one: the second stands nowhere, and serves as it last was."""
        text = (
            f"version: 1\nrules:\n  - {{id: a, when: {BOB}, do: {HOLD}}}\n  - {{id: b, when: {BOB}, do: {HOLD}}}\n...\n"
        )
        loaded = load_text(text.replace(*damage), accepted=accepted_of(text))
        assert {"a", "b"} == {rule.id for rule in loaded.loaded.rules}
        assert "stale" == states(loaded)["rule b"]

    def test_a_deletion(self) -> None:
        """While every file reads completely, what is gone is gone."""
        loaded = load_text("version: 1\n...\n", accepted=accepted_of(a_rule(BOB)))
        assert ({}, {}) == (states(loaded), dict(loaded.loaded.texts))

    def test_what_a_stale_rule_needs_is_brought_back(self) -> None:
        """A list and a condition that were deleted, for the rule that still asks them."""
        good = a_rule(
            "{use: c, login: {in: l}}", before="lists: {l: {type: login, items: [bob]}}\nconditions: {c: {login: bob}}"
        )
        loaded = load_text(a_rule("{use: c, login: {in: l}}"), accepted=accepted_of(good))
        assert ["unknown-condition", "unknown-list"] == codes(loaded)
        assert {"rule r": "stale", "list l": "stale", "condition c": "stale"} == states(loaded)
        assert {"l"} == {one.name for one in loaded.loaded.lists}
        assert 3 == len(loaded.loaded.texts)

    def test_a_culprit_is_not_read_again(self) -> None:
        """What killed an earlier loader serves as it last was."""
        told: list[str] = []
        accepted = accepted_of(a_rule(BOB))
        loaded = load_text(a_rule("{login: eve}"), accepted=accepted, skip=["1.yaml: rule r"], progress=told)
        assert {"rule r": "stale"} == states(loaded)
        assert ["1.yaml", "1.yaml: rule r", "1.yaml (last valid): rule r"] == told
        both = ["1.yaml: rule r", "1.yaml (last valid): rule r"]
        assert {"rule r": "skipped"} == states(load_text(a_rule(BOB), accepted=accepted, skip=both))

    def test_a_stale_list_is_in_doubt_where_its_yes_is_mild(self) -> None:
        """Behind `except` and `not`; elsewhere it serves as it was."""
        rules = "when: {login: {in: l}, not: {login: {in: l}}}, except: [{name: x, when: {login: {in: l}}}]"
        text = (
            "version: 1\nlists: {l: {type: login, items: [%s]}}\nrules: [{id: r, " + rules + f", do: {HOLD}}}]\n...\n"
        )
        rule = load_text(text % "12", accepted=accepted_of(text % "bob")).loaded.rules[0]
        plain, negated = rule.when.children
        assert isinstance(plain, FieldTest)
        assert isinstance(negated, Not)
        assert isinstance(negated.child, AllOf)
        assert isinstance(rule.exceptions[0].when, AllOf)


class TestDeferring:
    """A rule that was never valid and says `on_invalid: defer`."""

    def test_with_a_readable_condition(self) -> None:
        """The condition limits the doubt; the worst that the rule may do is to reject."""
        rule = load_text(a_rule(BOB, "{rejct: {}}", "on_invalid: defer")).loaded.rules[0]
        assert (EntryState.DEFERRING, Disposition.REJECT, OnError.DEFER) == (
            rule.state,
            rule.do.ending.disposition,
            rule.on_error,
        )
        assert ("bob",) == rule.when.children[0].values
        assert isinstance(rule.when.children[1], Unknowable)

    def test_with_a_scope(self) -> None:
        """The scope limits the doubt where `when` can't be read."""
        scope = 'senders: ["@example.com"], recipient_domains: [example.net], directions: [inbound]'
        more = f"on_invalid: defer, scope: {{{scope}}}"
        rule = load_text(a_rule("{logn: bob}", more=more)).loaded.rules[0]
        narrow, doubt = rule.when.children
        assert ["sender.address", "rcpt.domain", "direction"] == [
            one.child.field if isinstance(one, Recipients) else one.field for one in narrow.children
        ]
        assert isinstance(doubt, Unknowable)
        assert rule.inbound
        assert Disposition.HOLD is rule.do.ending.disposition

    def test_a_broken_body_with_a_readable_header(self) -> None:
        """The header is readable on its own, whatever YAML thinks of the rest."""
        text = a_policy("""
            rules:
              - id: r
                priority: 5
                tags: [one]
                on_invalid: defer
                scope: {logins: [bob]}
                when: {login: [bob
                do: {reject: {text: "No ({ref})"}}
        """)
        loaded = load_text(text)
        rule = loaded.loaded.rules[0]
        assert {"rule r": "deferring"} == states(loaded)
        assert (5, ("one",), ("bob",)) == (rule.priority, rule.tags, rule.when.children[0].values)

    def test_an_exempt_names_what_it_would_silence(self) -> None:
        """The names of an exempt are readable while its condition is not."""
        text = a_policy(f"""
            rules:
              - {{id: strict, when: always, do: {HOLD}}}
              - {{id: x, on_invalid: defer, when: {{logn: bob}}, do: {{exempt: [strict]}}}}
        """)
        rule = next(rule for rule in load_text(text).loaded.rules if rule.id == "x")
        assert Exempt(("strict",)) == rule.do.exempt
        assert isinstance(rule.when, Unknowable)

    def test_without_anything_that_limits_it(self) -> None:
        """Then it is a problem and skipped: not all mail may wait."""
        loaded = load_text(a_rule("{logn: bob}", "{rejct: {}}", "on_invalid: defer"))
        assert "defer-without-scope" in codes(loaded)
        assert {"rule r": "skipped"} == states(loaded)

    @pytest.mark.parametrize(("mode", "state"), [("off", "off"), ("shadow", "skipped")])
    def test_a_mode_without_effect(self, mode: str, state: str) -> None:
        """What would have no effect if it were valid has none while it is not."""
        loaded = load_text(a_rule(BOB, "{rejct: {}}", f"on_invalid: defer, mode: {mode}"))
        assert ({"rule r": state}, ()) == (states(loaded), loaded.loaded.rules)


class TestDependants:
    """A broken list or condition, and those that ask it."""

    def test_a_list_that_cannot_be_asked(self) -> None:
        """It exists, its tests are UNKNOWN, and its rules are named."""
        loaded = load_text(a_rule("{login: {in: l}}", before="lists: {l: {type: login, file: gone}}"))
        assert {"rule r": "active", "list l": "skipped"} == states(loaded)
        assert "gone" in (loaded.loaded.lists[0].unavailable or "")
        assert ["`r`" in one.message for one in problems_of(loaded, "list-unavailable")] == [True]

    def test_a_list_of_unreadable_type(self) -> None:
        """It fits every field: its rules do not pay for it."""
        loaded = load_text(a_rule("{login: {in: l}}", before="lists: {l: {type: lgoin, items: [bob]}}"))
        assert {"rule r": "active", "list l": "skipped"} == states(loaded)

    def test_a_condition_that_was_never_valid(self) -> None:
        """Breaks those that use it, by name."""
        loaded = load_text(a_rule("{use: c}", before="conditions: {c: {logn: bob}}"))
        assert {"rule r": "skipped", "condition c": "skipped"} == states(loaded)
        assert ["unknown-field", "broken-dependency"] == codes(loaded)

    def test_a_condition_that_was_valid(self) -> None:
        """Serves as it last was; in doubt where its YES is mild."""
        good, bad = "conditions: {c: {login: bob}}", "conditions: {c: {logn: eve}}"
        accepted = accepted_of(a_rule("{use: c}", before=good))
        loaded = load_text(a_rule("{use: c, not: {use: c}}", before=bad), accepted=accepted)
        assert {"rule r": "active", "condition c": "stale"} == states(loaded)
        plain, negated = loaded.loaded.rules[0].when.children
        assert isinstance(plain, FieldTest)
        assert isinstance(negated.child, AllOf)

    def test_a_chain_of_conditions_in_any_order(self) -> None:
        """A condition may use one that comes later."""
        before = "conditions: {a: {use: b}, b: {use: c}, c: {login: bob}}"
        assert ("bob",) == the_rule(load_text(a_rule("{use: a}", before=before))).when.values

    def test_a_very_long_chain(self) -> None:
        """Is too deep, and not our end."""
        chain = ", ".join(f"c{n}: {{use: c{n + 1}}}" for n in range(3000))
        loaded = load_text(a_rule("{use: c0}", before=f"conditions: {{{chain}, c3000: {{login: bob}}}}"))
        assert {"too-large", "broken-dependency"} == set(codes(loaded))
        assert "active" == states(loaded)["condition c2990"]

    def test_an_exempt_of_a_broken_rule(self) -> None:
        """The rule exists, whatever is wrong with it."""
        text = a_policy(f"""
            rules:
              - {{id: bad, tags: [t], when: {{logn: bob}}, do: {HOLD}}}
              - {{id: x, when: {BOB}, do: {{exempt: [bad, t]}}}}
        """)
        assert {"rule bad": "skipped", "rule x": "active"} == states(load_text(text))

    def test_an_exempt_of_a_rule_that_was_deleted(self) -> None:
        """It serves as it last was, and silences what is there."""
        strict = f"{{id: strict, when: always, do: {HOLD}}}"
        exempt = f"{{id: x, when: {BOB}, do: {{exempt: [strict]}}}}"
        accepted = accepted_of(f"version: 1\nrules: [{strict}, {exempt}]\n...\n")
        loaded = load_text(f"version: 1\nrules: [{exempt}]\n...\n", accepted=accepted)
        assert {"rule x": "stale"} == states(loaded)


def test_inbound_is_named() -> None:
    """A rule judges inbound mail only if it says so: in `when`, in `except`, in its scope, or through `use`."""
    before = "conditions: {c: {direction: [outbound, inbound]}}\nlists: {l: {type: string, items: [inbound]}}"
    named = [
        a_rule("{direction: inbound}"),
        a_rule("{use: c}", before=before),
        a_rule("{direction: {in: l}}", before=before),
        a_rule(more="except: [{name: x, when: {direction: inbound}}]"),
        a_rule(more="scope: {directions: [inbound]}"),
    ]
    assert [True] * len(named) == [the_rule(load_text(text)).inbound for text in named]
    assert not the_rule(load_text(a_rule("{direction: outbound}"))).inbound


def test_a_missing_login_map_is_told() -> None:
    """A rule that can never be certain deserves a word."""
    assert ["no-login-map"] == codes(load_text(a_rule("{sender.aligned: false}")))
    before = "lists: {logins: {type: map, items: {bob: bob@example.com}}}"
    assert [] == codes(load_text(a_rule("{sender.aligned: false}", before=before)))


MILDER = """version: 1
lists:
  own-domains: {type: domain, items: [example.com]}
  friends: {type: login, items: [eve]}
  logins: {type: map, items: {bob: [bob@example.com]}}
conditions:
  friendly: {login: {in: friends}}
rules:
  - {id: strict, when: {not: {use: friendly}}, except: [{name: f, when: {use: friendly}}], do: {hold: {reason: x}}}
  - {id: x, when: {login: bob}, do: {exempt: strict}}
  - {id: hidden, mode: shadow, when: {login: bob}, do: {hold: {reason: x}}}
...
"""


def test_absence_changes_no_verdict() -> None:
    """A file that is gone, unreadable, empty or cut: what it held is STALE for its admin, and judges as it did."""
    before = load_text(MILDER).loaded
    after = load_text(lost=["1.yaml"], accepted=dict(before.texts))
    assert {"stale"} == set(states(after).values())
    assert [(one.id, one.when, one.exceptions, one.state, one.stale_exempt) for one in before.rules] == [
        (one.id, one.when, one.exceptions, one.state, one.stale_exempt) for one in after.loaded.rules
    ]
    assert [(one.name, one.items, one.state, one.doubted) for one in before.lists] == [
        (one.name, one.items, one.state, one.doubted) for one in after.loaded.lists
    ]


def test_a_damaged_file_may_hold_an_edit() -> None:
    """An entry that stands nowhere while a file holds what can't be read: what it makes milder is in doubt."""
    accepted = dict(load_text(MILDER).loaded.texts)
    after = load_text("version: 1\nrules:\n  - {id: other, when: [}\n  - }}{\n...\n", accepted=accepted)
    rule = next(rule for rule in after.loaded.rules if rule.id == "x")
    facts = Facts(a_transaction(login="bob"), FakePolicies([rule]), NOW)
    assert Truth.UNKNOWN is answer(rule, facts)[0]


@pytest.mark.parametrize(("mark", "state"), [("---", "active"), ("...", "stale"), ("---\nx:", "stale")])
def test_what_stands_behind_an_early_end_is_not_gone(mark: str, state: str) -> None:
    """A stray mark between two rules may hide the second: it stays in force, as it last was where it can't be read."""
    good = a_policy(f"""
        rules:
          - {{id: a, when: {BOB}, do: {HOLD}}}
          - {{id: b, when: {BOB}, do: {HOLD}}}
    """)
    damaged = good.replace("  - {id: b", f"{mark}\n  - {{id: b")
    assert state == states(load_text(damaged, accepted=accepted_of(good)))["rule b"]


def test_byte_order_marks_shift_no_text() -> None:
    """One or two of them, as a copy of a copy has them: what is kept of an entry is what stands there."""
    good = a_policy(f"rules: [{{id: a, when: {BOB}, do: {HOLD}}}]")
    assert accepted_of(good) == accepted_of(f"\ufeff{good}") == accepted_of(f"\ufeff\ufeff{good}")
