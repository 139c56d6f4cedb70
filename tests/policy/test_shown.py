"""How problems are shown, the schema, names that were meant, circles."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tidegate.conditions.fields import FIELDS
from tidegate.model import Place, Problem, Severity
from tidegate.policy.circles import in_order
from tidegate.policy.excerpts import with_excerpts
from tidegate.policy.render import line, render
from tidegate.policy.schema import schema
from tidegate.policy.suggest import nearest, shown

ROOT = Path(__file__).resolve().parents[2]


def a_problem(column: int = 5, end: int = 9, **more: object) -> Problem:
    """A problem in line 3."""
    values: dict[str, object] = {"code": "unknown-key", "message": "no", "place": Place("a.yaml", 3, column, end)}
    return Problem(**(values | more))  # type: ignore[arg-type]


def test_a_caret_stands_under_the_span() -> None:
    """Place, code and message; the line; the cure."""
    assert "a.yaml:3:5: unknown-key: no\n  3 |     whne: always\n    |     ^^^^\n  = write when" == render(
        a_problem(cure="write when"), "    whne: always"
    )


@pytest.mark.parametrize(
    ("text", "column", "end", "caret"),
    [
        ("    x: 日本", 8, 10, "       ^^^^"),
        ("日本: x", 5, 6, "      ^"),
        ("ab", 9, 12, "  ^"),
        ("abc", 2, 0, " ^"),
        ("a\tb: c", 3, 4, "  ^"),
    ],
    ids=["wide", "behind wide", "behind the end", "no end", "tab"],
)
def test_columns(text: str, column: int, end: int, caret: str) -> None:
    """Wide characters take two columns, and a place outside the line is no accident."""
    assert f"    | {caret}" == render(a_problem(column, end), text).splitlines()[2]


def test_a_far_away_span_is_shown() -> None:
    """In a line of a thousand characters the part around the span is shown."""
    text = "x" * 500 + "HERE" + "y" * 500
    shown_line, caret = render(a_problem(501, 505), text).splitlines()[1:3]
    assert shown_line.index("HERE") == caret.index("^^^^")


def test_nothing_reaches_the_terminal_as_a_command() -> None:
    """Escape sequences of a hostile file are shown as question marks."""
    text = render(a_problem(message="\x1b[2J", severity=Severity.WARNING), "\x1b]0;x\x07 key")
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "warning: unknown-key" in text
    assert "\n" not in line(a_problem(message="a\nb"))


def test_excerpts() -> None:
    """Lines are counted as YAML counts them; what can't be shown is not."""
    data = {"a.yaml": "\ufeffone\r\ntwo\rthree\n".encode()}
    assert ["three"] == [one.excerpt for one in with_excerpts([a_problem()], data)]
    assert [""] == [one.excerpt for one in with_excerpts([a_problem(place=Place("b.yaml", 1, 1))], data)]
    assert [""] == [one.excerpt for one in with_excerpts([a_problem(place=Place("a.yaml", 99, 1))], data)]


@pytest.mark.parametrize(
    ("name", "wanted"), [("prioritty", "priority"), ("Whne", "when"), ("zzz", ""), ("", ""), ("x" * 10_000, "")]
)
def test_nearest(name: str, wanted: str) -> None:
    """The nearest known name, or none."""
    assert wanted == nearest(name, ["priority", "when", "where"])


def test_shown() -> None:
    """One line, however long and whatever is in it."""
    assert ("`a?b`", "`xxx…`") == (shown("a\nb"), shown("xxxx", 3))


def test_circles() -> None:
    """Groups come after what they need."""
    needs = {"a": ["b"], "b": ["c", "gone"], "c": ["b"], "d": ["a", "d"], "e": []}
    groups = in_order(needs)
    assert [{"b", "c"}, {"a"}, {"d"}, {"e"}] == [set(group) for group in groups]
    chain = {str(n): [str(n + 1)] for n in range(50_000)}
    assert ("49999",) == in_order(chain)[0]


class TestSchema:
    """The JSON Schema is made from the registries."""

    def test_it_is_json(self) -> None:
        """And says that it is draft-07."""
        assert "http://json-schema.org/draft-07/schema#" == json.loads(json.dumps(schema()))["$schema"]

    def test_every_field_is_described(self) -> None:
        """An editor completes and explains them."""
        properties = schema()["definitions"]["condition"]["anyOf"][1]["properties"]
        assert set(FIELDS) <= set(properties)
        assert all(properties[name]["description"] for name in FIELDS)

    def test_it_is_valid_and_accepts_what_we_ship(self) -> None:
        """The shipped policies fit it; a typo does not."""
        jsonschema = pytest.importorskip("jsonschema")
        yaml = pytest.importorskip("yaml")
        jsonschema.Draft7Validator.check_schema(schema())
        validator = jsonschema.Draft7Validator(schema())
        for path in sorted((ROOT / "policies").glob("*.yaml")):
            assert [] == [error.message for error in validator.iter_errors(yaml.safe_load(path.read_text("utf-8")))]
        typo = {"version": 1, "rules": [{"id": "a", "whne": "always", "do": {"bcc": "a@example.net"}}]}
        assert not validator.is_valid(typo)
