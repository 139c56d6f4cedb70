"""postfix/lists.py: milter lists as Postfix reads them."""

from __future__ import annotations

import pytest

from tidegate.postfix.lists import MalformedError, Milter, parse_list, seconds


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("", (), id="empty"),
        pytest.param("unix:a", (Milter("unix:a"),), id="one"),
        pytest.param("unix:a, inet:b:1\tinet:c:2", tuple(map(Milter, ("unix:a", "inet:b:1", "inet:c:2"))), id="three"),
        pytest.param(
            "{ unix:a, default_action=accept connect_timeout=5s }",
            (Milter("unix:a", {"default_action": "accept", "connect_timeout": "5s"}),),
            id="braces",
        ),
        pytest.param(
            "{unix:a,{protocol = 6}},unix:b", (Milter("unix:a", {"protocol": "6"}), Milter("unix:b")), id="in"
        ),
    ],
)
def test_lists(value: str, expected: tuple[Milter, ...]) -> None:
    """Blanks and commas part milters; braces hold one with its settings."""
    assert expected == parse_list(value)


@pytest.mark.parametrize(
    "value", ["{ unix:a", "unix:a }", "{ }", "{ unix:a, tempfail }", "{ unix:a }x", "{unix:a, a = b}"]
)
def test_malformed(value: str) -> None:
    """What smtpd would end over is told."""
    with pytest.raises(MalformedError):
        parse_list(value)


@pytest.mark.parametrize(
    ("text", "expected"), [("30s", 30), ("5m", 300), ("1h", 3600), ("20", 20), ("", None), ("x", None), ("-1s", None)]
)
def test_times(text: str, expected: float | None) -> None:
    """Postfix's times in seconds."""
    assert expected == seconds(text)
