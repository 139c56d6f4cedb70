"""The pattern engine: what it runs, what it refuses and how it says so, and that many threads can scan at once."""

from __future__ import annotations

import re
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate import patterns
from tidegate.patterns import Database, PatternError
from tidegate.patterns.cost import LIMIT, cost


def matches(source: str, text: str) -> bool:
    """Does one pattern match, as a `matches` test asks it?"""
    return Database.compile((source,), folded=False).scan(patterns.encode(text))


@pytest.mark.parametrize(
    ("source", "text", "expected"),
    [
        pytest.param("invoice", "Your INVOICE", True, id="case is ignored"),
        pytest.param("(?-i)invoice", "Your INVOICE", False, id="case counts behind (?-i)"),
        pytest.param("straße", "STRAẞE", True, id="case of Unicode is ignored"),
        pytest.param("Ä", "ä", True, id="umlauts have case"),
        pytest.param("^a.c$", "aöc", True, id="a dot is one character, not one byte"),
        pytest.param("a.c", "a\nc", False, id="a dot is no line break"),
        pytest.param("(?s)a.c", "a\nc", True, id="unless (?s) says so"),
        pytest.param("^b", "a\nb", False, id="^ is the beginning of the text"),
        pytest.param("(?m)^b", "a\nb", True, id="unless (?m) says so"),
        pytest.param("a*", "", True, id="a pattern may match nothing"),
        pytest.param("^$", "", True, id="an empty text"),
        pytest.param("^$", "x", False, id="a text that is not empty"),
        pytest.param(r"\bfoo\b", "a foo.", True, id="word boundaries are ASCII's"),
        pytest.param(r"\p{L}+x", "üx", True, id="letters of Unicode"),
        pytest.param("a", "b\x00a", True, id="a NUL in the text does not end it"),
        pytest.param(r"b\x00a", "b\x00a", True, id="a NUL asked for"),
        pytest.param("\ufffd", "\udcff", True, id="a lone surrogate is U+FFFD"),
    ],
)
def test_how_patterns_read(source: str, text: str, expected: bool) -> None:
    """The flags are settled: no case, one line, UTF-8, empty matches allowed."""
    assert patterns.check(source) == ""
    assert expected is matches(source, text)


@pytest.mark.parametrize(
    ("source", "part"),
    [
        pytest.param(r"(a)\1", "refers back to a group", id="back-reference"),
        pytest.param("(?P<n>a)(?P=n)", "refers back to a group", id="named back-reference"),
        pytest.param("(?=a)b", "looks ahead or behind", id="look-ahead"),
        pytest.param("(?<!a)b", "looks ahead or behind", id="look-behind"),
        pytest.param("a++", "possessive quantifier", id="possessive"),
        pytest.param("(?>a+)b", "atomic group", id="atomic"),
        pytest.param("(", "Missing close parenthesis", id="unbalanced"),
        pytest.param("[z-a]", "Range out of order", id="range"),
        pytest.param("a\\", "end of input", id="lone backslash"),
        pytest.param(r"\u00df", r"\x{00DF}", id="backslash u"),
        pytest.param("", "the pattern is empty", id="empty"),
        pytest.param("a\0b", r"write \x00", id="NUL"),
        pytest.param("a\x7fb", r"write \x7f", id="DEL"),
        pytest.param("a" * 5000, "at most 4096", id="long"),
    ],
)
def test_a_pattern_that_can_not_run_says_why(source: str, part: str) -> None:
    """What the engine refuses is explained for a person, with the engine's own words behind it."""
    assert part in patterns.check(source)


@pytest.mark.parametrize("source", ["(a+)+$", "(a|aa)+$", "(.*a){12}", "(a{0,1000}){0,1000}"])
def test_catastrophic_patterns_are_linear(source: str) -> None:
    """What takes a backtracking engine for ever is one pass here: 64 KiB are scanned at once."""
    database = Database.compile((source,), folded=False)
    assert isinstance(database.scan(b"a" * 65_536 + b"!"), bool)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        pytest.param("a{1,2000}", 0, id="a letter is cheap"),
        pytest.param("[A-Za-z0-9+/]{1000,}", 0, id="so is an ASCII class"),
        pytest.param("a.{0,500}z", 500, id="a dot is not"),
        pytest.param("((.{10}){10}){2}", 200, id="repeats multiply"),
        pytest.param(r"\S{5}[^x]{6}[äö]{7}", 18, id="classes of many bytes"),
        pytest.param(r"\.{500}\Q.\E{9}(?#.{9}).", 1, id="dots that are none"),
        pytest.param(r"x\p{L}{1,10}", 1200, id="a property is dear"),
        pytest.param(r"[\p{L}]{3}[]\]]{4}", 360, id="also in a class"),
        pytest.param(".{0,99999999999999999999}", 10**9, id="a number without end"),
        pytest.param("(((){3}){4", 0, id="unbalanced"),
        pytest.param(")){3}.{3}", 3, id="unbalanced the other way"),
    ],
)
def test_what_a_pattern_costs(source: str, expected: int) -> None:
    """Counted repeats of what is several bytes in UTF-8 are what the engine spends its time on."""
    assert expected == cost(source)


@pytest.mark.parametrize("source", ["(?s)a.{0,5000}z", r"x\p{L}{1,60}y", r"(\S{1,64}@\S{1,255}\s*,\s*){20,}"])
def test_a_pattern_that_would_take_long_is_not_tried(source: str) -> None:
    """What the engine would work on for seconds is refused at once."""
    assert cost(source) >= LIMIT
    assert "make the numbers" in patterns.check(source)


@given(st.text(alphabet="ab.*+?()[]{}|^$\\1,2-:=!<>PpQ#", max_size=20))
@settings(max_examples=200, deadline=None)
def test_the_cost_of_anything_is_a_number(source: str) -> None:
    """Any text has a cost."""
    assert cost(source) >= 0


def test_a_database_survives_being_written() -> None:
    """What is read back answers as what was written."""
    read = Database.deserialise(Database.compile(("urgent", "in[vw]oice"), folded=False).serialise())
    assert [read.scan(text) for text in (b"URGENT", b"an inwoice", b"neither")] == [True, True, False]


@pytest.mark.parametrize("at", [0, 4, 5, 8, 16])
def test_a_foreign_database_is_refused(at: int) -> None:
    """Another magic number, version, length or kind of CPU is an exception; so is a database that was cut."""
    data = Database.compile(("urgent",), folded=False).serialise()
    for foreign in (data[:at] + bytes((data[at] ^ 0x41,)) + data[at + 1 :], data[:at], data[: -1 - at]):
        with pytest.raises(PatternError):
            Database.deserialise(foreign)


@given(st.text(max_size=40), st.text(max_size=20), st.text(max_size=20))
@settings(max_examples=60, deadline=None)
def test_escaped_text_finds_itself(literal: str, before: str, after: str) -> None:
    """Any text at all, escaped as the index does it, is found where it stands."""
    database = Database.compile((re.escape(literal) or "^",), folded=True)
    assert database.scan(patterns.encode(before + literal + after))


@given(st.text(max_size=60))
@settings(max_examples=150, deadline=None)
def test_check_never_raises(source: str) -> None:
    """Any text is a pattern or has a reason why not."""
    assert isinstance(patterns.check(source), str)


@given(st.text(alphabet="ab.*+?()[]{}|^$\\1,2-:=!<>P", max_size=16))
@settings(max_examples=300, deadline=None)
def test_check_means_what_it_says(source: str) -> None:
    """A pattern that passes the check can be compiled and asked."""
    if not patterns.check(source):
        assert isinstance(matches(source, "ab"), bool)


def test_threads_scan_at_once() -> None:
    """16 threads share databases while others are added: nobody gets a scratch that is in use or too small."""
    databases = [Database.compile((rf"key{n}(x.{{0,{n * 10 + 9}}}y)?",), folded=False) for n in range(4)]
    wrong: list[str] = []
    barrier = threading.Barrier(17)

    def hammer(number: int) -> None:
        barrier.wait()
        try:
            for turn in range(150):
                which = (number + turn) % 4
                long = b" " * (40_000 if turn % 5 == 0 else 10)
                if not databases[which].scan(long + b"KEY%d" % which) or databases[which].scan(long + b"other"):
                    wrong.append(f"{number}: wrong answer")
        except PatternError as error:
            wrong.append(str(error))

    threads = [threading.Thread(target=hammer, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    barrier.wait()
    grown = [Database.compile((rf"(a.{{0,{n * 4}}}b|c.{{3,{n}}}d)x",), folded=False) for n in range(3, 15)]
    for thread in threads:
        thread.join()
    assert wrong == []
    assert [database.scan(b"nothing") for database in grown] == [False] * 12


@pytest.mark.usefixtures("no_engine")
def test_without_the_library_the_cure_is_named() -> None:
    """A missing library is said, with the packages that cure it."""
    assert "apt install libhyperscan5" in patterns.available()
    assert "apt install libhyperscan5" in patterns.check("a")
    with pytest.raises(PatternError):
        Database.compile(("a",), folded=False)


def test_the_library_is_here() -> None:
    """The tests run on the real engine."""
    assert patterns.available() == ""
