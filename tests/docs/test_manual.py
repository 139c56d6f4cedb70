"""The man pages hold what the docs and the commands say, and nothing that roff would swallow."""

from __future__ import annotations

import re

import click
import pytest

from docs.manual import PAGES, escape, inline, page, roff
from tidegate.cli import COMMANDS, main
from tidegate.settings.keys import KEYS

_REQUEST = re.compile(r'\.(?:TH|SH|SS|PP|TP|IP|RS|RE|nf|fi|\\")(?: |$)')


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(".hidden", "\\&.hidden", id="a dot at the start is no request"),
        pytest.param("'tis", "\\(aqtis", id="nor is an apostrophe"),
        pytest.param(r"\d", "\\ed", id="backslash"),
        pytest.param("--json", "\\-\\-json", id="options can be copied"),
    ],
)
def test_escape(text: str, expected: str) -> None:
    """What roff would read as its own is text."""
    assert expected == escape(text)


def test_inline() -> None:
    """Code and bold are bold, emphasis is italic, an asterisk alone is itself."""
    assert "\\fBa\\fR \\fBb\\fR \\fIc\\fR *.yaml" == inline("`a` **b** *c* *.yaml")


def test_a_table_becomes_tagged_paragraphs() -> None:
    """The first cell is the tag, the second the text, others carry their heads; an escaped bar is text."""
    expected = [".TP", "\\fBk\\fR", "a | b", "(default: 8s)"]
    assert expected == list(roff("| key | meaning | default |\n| --- | --- | --- |\n| `k` | a \\| b | 8s |\n"))


def test_marks_for_the_registry_are_no_text() -> None:
    """A comment of the Markdown is nobody's business."""
    assert [".PP", "a"] == list(roff("<!-- from the registry -->\n\na\n\n<!-- end -->\n"))


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_known_requests_only(name: str) -> None:
    """Each line that begins like a request is one that is meant."""
    lines = page(name).splitlines()
    assert [] == [line for line in lines if line[:1] in (".", "'") and not _REQUEST.match(line)]
    assert page(name) == page(name)


def test_every_command_and_option_is_there() -> None:
    """As the program's own help has them."""
    text = page("tidegate.8")
    context = click.Context(main)
    for name in COMMANDS:
        command = main.get_command(context, name)
        assert command
        assert f'.SS "tidegate {escape(name)}' in text
        options = [one for parameter in command.params if isinstance(parameter, click.Option) for one in parameter.opts]
        assert [] == [option for option in options if escape(option) not in text]


def test_every_setting_is_there() -> None:
    """Every key that the settings file may have."""
    assert [] == [key for key in KEYS if f"\\fB{key}\\fR" not in page("tidegate.yaml.5")]
