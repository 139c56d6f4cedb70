"""Replicas of live lists: they answer as the same items do in an image, and a message keeps the one it began with."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders.rules import a_rule
from tests.builders.transactions import NOW, a_transaction
from tidegate import image
from tidegate.conditions.facts import Facts
from tidegate.conditions.members import Member, normalise
from tidegate.engine.candidates import candidates
from tidegate.engine.judge import judge
from tidegate.image import replica as replicas
from tidegate.image.codec import MalformedError
from tidegate.image.replica import Base, LiveMembers, Replica, Rows, fold, lost, read_changes, write_changes
from tidegate.model import (
    Conventions,
    Disposition,
    Doubt,
    ListItem,
    ListKind,
    LiveSource,
    Loaded,
    MemberListData,
    Operator,
)
from tidegate.model import Test as FieldTest

SALT = b"salt"
PLAIN = Conventions()


def a_base(form: str, *items: str | ListItem, version: str = "1-1") -> Base:
    """A base of these entries."""
    rows = Rows(form, SALT, PLAIN)
    rows.add(ListItem(one) if isinstance(one, str) else one for one in items)
    return Base(replicas.write_replica("r", version, rows))


def members(form: str, replica: Replica | None) -> LiveMembers:
    """A live list of a generation."""
    return LiveMembers("l", LiveSource("r", form), False, frozenset(), replica)


@pytest.mark.parametrize(
    ("form", "items", "value", "expected"),
    [
        pytest.param("address", ["a@example.com"], "a@example.com", "a@example.com", id="address"),
        pytest.param("address", ["@.example.com"], "a@b.example.com", "@.example.com", id="below a domain"),
        pytest.param("address", ["*-bot@example.com"], "x-bot@example.com", "*-bot@example.com", id="glob"),
        pytest.param("domain", [".example.com"], "a.b.example.com", ".example.com", id="parent"),
        pytest.param("ip", ["10.0.0.0/8", "192.0.2.1/32"], "10.2.3.4", "10.0.0.0/8", id="network"),
        pytest.param("ip", ["2001:db8::/32"], "2001:db8::1", "2001:db8::/32", id="network of IPv6"),
        pytest.param("string", ["hello"], "HeLLo", "hello", id="string"),
        pytest.param("login", ["alice"], "alice", "alice", id="login"),
        pytest.param("login", ["\udcff"], "\udcff", "\udcff", id="a lone surrogate"),
        pytest.param("login", [], "a", None, id="an empty list"),
        pytest.param("login", ["alice"], "bob", None, id="somebody else"),
    ],
)
@pytest.mark.parametrize("where", ["base", "changes"])
def test_find(form: str, items: list[str], value: str, expected: str | None, where: str) -> None:
    """The entry that covers the value, whether it stands in the base or came since."""
    base = a_base(form, *(items if where == "base" else ()))
    changes = {one: ListItem(one) for one in items} if where == "changes" else {}
    assert expected == members(form, Replica(base, changes)).find(value, NOW)


def test_changes_come_before_the_base() -> None:
    """What was taken off is not found, a glob neither; what has a new end has that."""
    base = a_base("address", "a@example.com", "b@example.com", "*@example.net")
    changes = {"a@example.com": None, "*@example.net": None, "b@example.com": ListItem("b@example.com", (), NOW)}
    found = members("address", Replica(base, changes))
    assert [None, None, None] == [found.find(one, NOW) for one in ("a@example.com", "b@example.com", "x@example.net")]
    assert "b@example.com" == found.find("b@example.com", NOW - 1)


def test_entries_end() -> None:
    """An entry is found until its end, that second excluded; the same twice until the later."""
    base = a_base("login", ListItem("a", (), NOW), "b", ListItem("c", (), NOW), ListItem("c", (), NOW + 9))
    found = members("login", Replica(base))
    assert ["a", "b", "c"] == [found.find(one, NOW - 1) for one in "abc"]
    assert [None, "b", "c"] == [found.find(one, NOW) for one in "abc"]


def test_a_map_has_values() -> None:
    """Of the base and of the changes."""
    base = a_base("logins", ListItem("a", ("x@example.com",)), ListItem("b", ("y", "z")), ListItem("c", ("q",), NOW))
    found = members("logins", Replica(base, {"b": ListItem("b", ("new",)), "d": None}))
    assert ("x@example.com",) == found.values("a", NOW)
    assert [("new",), None, None, ("q",)] == [
        found.values("b", NOW), found.values("c", NOW), found.values("d", NOW), found.values("c", NOW - 1)
    ]  # fmt: skip
    assert ListKind.MAP is found.kind


def test_never_read() -> None:
    """A list of which there is no replica covers nothing, and its cause makes every test on it UNKNOWN."""
    found = members("login", None)
    assert found.cause is not None
    assert (Doubt.PASSING, None, None) == (found.cause.doubt, found.find("a", NOW), found.values("a", NOW))


def test_overdue() -> None:
    """One that nobody confirms is as a list that is only known as it last was, about everything on it."""
    found = members("login", Replica(a_base("login", "a"), overdue=True))
    assert (True, frozenset(("",)), "a", None) == (found.stale, found.doubted, found.find("a", NOW), found.cause)


def test_folding_changes_nothing() -> None:
    """A base with its changes worked in answers as both did."""
    base = a_base("address", "a@example.com", ListItem("b@example.com", (), NOW), "*@example.net")
    changes = {"a@example.com": None, "*@example.net": None, "c@": ListItem("c@", (), NOW + 5)}
    folded = Base(fold(base, changes, "2-2"))
    values = ("a@example.com", "b@example.com", "c@example.org", "x@example.net")
    for now in (NOW - 1, NOW, NOW + 5):
        before, after = members("address", Replica(base, changes)), members("address", Replica(folded))
        assert [before.find(one, now) for one in values] == [after.find(one, now) for one in values]
    assert ("2-2", 2) == (folded.header.version, folded.count)


@given(st.lists(st.from_regex(r"[a-c.*?]{0,2}@?[a-c]{0,2}(\.[a-c])?", fullmatch=True), max_size=12), st.data())
def test_it_answers_as_an_image_does(texts: list[str], data: st.DataObject) -> None:
    """The same items, in a file or in Redis, give the same answers."""
    kind = data.draw(st.sampled_from([ListKind.ADDRESS, ListKind.DOMAIN, ListKind.LOGIN]))
    items = _items(kind, texts, data.draw(st.lists(st.sampled_from([None, NOW - 1, NOW + 1]), max_size=12)))
    split = data.draw(st.integers(0, len(items)))
    base = a_base(kind.value, *items[:split])
    found = members(kind.value, Replica(base, {one.key: one for one in items[split:]}))
    written = MemberListData("l", kind, tuple({one.key: one for one in items}.values()))
    other = image.Generation(image.build(Loaded(lists=(written,)), 1)).list("l")
    assert other is not None
    for value in ("a@b.c", "b@a", "a.b", "ab@c.a", "a", "c.c"):
        assert (found.find(value, NOW) is None) is (other.find(value, NOW) is None), value


def _items(kind: ListKind, texts: Iterable[str], ends: list[float | None]) -> list[ListItem]:
    keys = [one.key for text in texts if isinstance(one := normalise(kind, text, PLAIN), Member)]
    pairs = zip(dict.fromkeys(keys), [*ends, *[None] * len(keys)], strict=False)
    return [ListItem(key, (), end) for key, end in pairs]


def test_what_is_lost() -> None:
    """How many of those in force are gone; what has ended, or was taken off before, is not missed."""
    base = a_base("address", "a@x.com", "b@x.com", "*@y.com", ListItem("old@x.com", (), NOW - 1), "off@x.com")
    after = Rows("address", SALT, PLAIN)
    after.add([ListItem("b@x.com")])
    changes = {"off@x.com": None, "new@x.com": ListItem("new@x.com")}
    assert (3, 4) == lost(base, changes, after, NOW)


def test_changes_travel() -> None:
    """They are read as they were written."""
    changes = {"a": ListItem("a", ("x",), NOW), "b": None}
    assert changes == read_changes(write_changes(changes))


@pytest.mark.parametrize("data", [b"", b"TGLIVE01", b"x" * 200, b"TGLIVE01" + b"\xff" * 8])
def test_what_is_no_replica(data: bytes) -> None:
    """It is told, whatever it is."""
    with pytest.raises(MalformedError):
        Base(data)


@pytest.mark.parametrize("data", [b"", b"[1]", b'[["a", [1]]]', b"{}x"])
def test_what_are_no_changes(data: bytes) -> None:
    """The same."""
    with pytest.raises(MalformedError):
        read_changes(data)


def a_generation() -> image.Generation:
    """One rule that refuses who is on a live list."""
    live = MemberListData("suspended", ListKind.LOGIN, live=LiveSource("r", "login"))
    rule = a_rule("no", FieldTest("login", Operator.IN, list_name="suspended"))
    return image.Generation(image.build(Loaded(rules=(rule,), lists=(live,)), 7))


def test_a_live_list_is_never_remembered_wrongly() -> None:
    """Each new replica makes another object of the same generation; what the old one remembered does not count."""
    generation = a_generation()
    message = a_transaction(login="alice@example.com")
    empty = generation.with_replicas({("r", "login"): Replica(a_base("login"))})
    for _ in range(2):
        assert set() == candidates(Facts(message, empty, NOW), empty)
    full = empty.with_replicas({("r", "login"): Replica(a_base("login", "alice@example.com"))})
    assert {0} == candidates(Facts(message, full, NOW), full)
    assert set() == candidates(Facts(message, empty, NOW), empty)
    assert (Disposition.REJECT, Disposition.ACCEPT) == (
        judge(message, full, NOW).disposition, judge(message, empty, NOW).disposition
    )  # fmt: skip
    assert (generation.number, generation.digest) == (full.number, full.digest)


def test_before_it_was_read_a_live_list_is_unknown() -> None:
    """Whoever may be on it waits."""
    assert Disposition.DEFER is judge(a_transaction(), a_generation(), NOW).disposition


def test_a_trial_takes_live_lists_for_empty() -> None:
    """Where there is no Redis, a policy can be tried all the same."""
    assert Disposition.ACCEPT is judge(a_transaction(), a_generation().with_empty_lists(), NOW).disposition


def test_without_live_lists_nothing_is_made() -> None:
    """The generation itself serves."""
    generation = image.Generation(image.build(Loaded(), 1))
    assert generation is generation.with_replicas({})
