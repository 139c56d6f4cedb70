"""Writes docs/reference.md, and the table in docs/settings.md, from the registries: `make docs`. A test says when to.

Promises: the same registries give the same text. Refuses prose: what needs explaining is explained in the other pages.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from tidegate.alerts import CODES as DAEMON_CODES
from tidegate.conditions.fields import FIELDS
from tidegate.conditions.operators import OPERATORS
from tidegate.conditions.placeholders import OF_LIMITS, PLACEHOLDERS
from tidegate.model import Field
from tidegate.observe.counters import Counters
from tidegate.observe.metrics import Gauges, render
from tidegate.policy.actions import ACTIONS, Family
from tidegate.policy.codes import CODES, TRIAL_CODES
from tidegate.policy.examples import CASE_KEYS, EXAMPLE_KEYS
from tidegate.policy.keys import EXCEPT_KEYS, RULE_KEYS
from tidegate.policy.limits import BY_KEYS, COUNT_KEYS, LIMIT_KEYS, MAX_KEYS
from tidegate.policy.lists import ITEM_KEYS, KINDS, LIST_KEYS
from tidegate.policy.restraints import EXPECT_KEYS as RULE_EXPECT_KEYS
from tidegate.policy.scenarios import EXPECT_KEYS, SCENARIO_FILE_KEYS, SCENARIO_KEYS
from tidegate.policy.schedule import ACTIVE_KEYS, SAMPLE_KEYS
from tidegate.policy.scope import SCOPE_KEYS
from tidegate.postfix import CODES as POSTFIX_CODES
from tidegate.settings.alerting import ALERT_KEYS, CHANNEL_KEYS
from tidegate.settings.keys import KEYS as SETTINGS
from tidegate.settings.keys import SECTIONS

HERE = Path(__file__).parent / "reference.md"
SETTINGS_PAGE = Path(__file__).parent / "settings.md"
BEGIN_ALERTS, END_ALERTS = "<!-- alerts: make docs -->\n", "<!-- end of alerts -->\n"
BEGIN, END = "<!-- from the registry: make docs -->\n", "<!-- end -->\n"
Part = tuple[str, Sequence[str], Iterable[Sequence[str]]]

HEAD = """\
# Reference

Made from the registries of the program by `make docs`; `tidegate fields` and `tidegate schema` print it for machines.
"""


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """A Markdown table; `|` in a cell is escaped."""
    yield f"| {' | '.join(heads)} |"
    yield f"|{' --- |' * len(heads)}"
    for row in rows:
        cells = [cell.replace("|", "\\|") for cell in row]
        yield f"| {' | '.join(cells)} |"


def _field(row: Field) -> tuple[str, str, str, str]:
    name = f"`{row.name.removeprefix('rcpt.')}`" if row.recipient else f"`{row.name}`"
    return name, row.type.value, row.stage.name, row.manual


def _metrics() -> Iterator[tuple[str, str, str]]:
    """(name, type, help) of every family that a page holds."""
    helps: dict[str, str] = {}
    for line in render(Counters(1), Gauges()).splitlines():
        mark, _, rest = line.removeprefix("# ").partition(" ")
        name, _, said = rest.partition(" ")
        if mark == "HELP":
            helps[name] = said
        elif mark == "TYPE":
            yield f"`{name}`", said, helps[name]


def _keys(title: str, rows: Mapping[str, str]) -> Part:
    return title, ("key", "meaning"), ((f"`{name}`", said) for name, said in rows.items())


def _forms() -> Iterator[Part]:
    """The keys of everything that is written in YAML."""
    yield (
        "Keys of a rule (readable on its own: also where the rest of the rule is broken)",
        ("key", "readable on its own", "meaning"),
        ((f"`{name}`", "yes" if row.header else "", row.manual) for name, row in RULE_KEYS.items()),
    )
    yield _keys("Keys of an exception, under `except`", EXCEPT_KEYS)
    yield _keys("Keys of a limit, under `limits`", LIMIT_KEYS)
    yield _keys("Keys of `by`, in a limit, where it is a map", BY_KEYS)
    yield _keys("Keys of `count`, in a limit, where it is a map", COUNT_KEYS)
    yield _keys("Keys of `max`, in a limit, where it is a map", MAX_KEYS)
    yield _keys("Keys of `active`", ACTIVE_KEYS)
    yield _keys("Keys of `sample`", SAMPLE_KEYS)
    yield _keys("Keys of `scope`", SCOPE_KEYS)
    yield _keys("Keys of `expect`, in a rule", RULE_EXPECT_KEYS)
    yield _keys("Keys of a list", LIST_KEYS)
    yield _keys("Keys of an item, where it is a map", ITEM_KEYS)
    yield _keys("Types of lists", {kind.value: said for kind, said in KINDS.items()})
    yield _keys("Keys of `examples`", EXAMPLE_KEYS)
    yield _keys("Keys of a case, in examples and scenarios", CASE_KEYS)
    yield _keys("Keys of a scenario file", SCENARIO_FILE_KEYS)
    yield _keys("Keys of a scenario", SCENARIO_KEYS)
    yield _keys("Keys of `expect`, in a scenario", EXPECT_KEYS)


def _between(page: str, begin: str, end: str, lines: Iterable[str]) -> str:
    before, _, rest = page.partition(begin)
    made = "\n".join(lines)
    return f"{before}{begin}{made}\n{end}{rest.partition(end)[2]}"


def settings_page() -> str:
    """docs/settings.md with its tables made anew."""
    rows = [(f"`{name}`", row.manual, row.default) for name, row in SETTINGS.items()]
    rows += [(f"`{name}`", manual, "none") for name, manual in SECTIONS.items()]
    alerts = [(f"`{name}`", manual) for name, manual in ALERT_KEYS.items()]
    alerts += [(f"`{name}` of a channel", manual) for name, manual in CHANNEL_KEYS.items()]
    page = SETTINGS_PAGE.read_text(encoding="utf-8")
    page = _between(page, BEGIN, END, table(("key", "meaning", "default"), rows))
    return _between(page, BEGIN_ALERTS, END_ALERTS, table(("key of `alerts`", "meaning"), alerts))


def text() -> str:
    """The whole page."""
    plain = [row for row in FIELDS.values() if not row.recipient]
    quantified = [row for row in FIELDS.values() if row.recipient]
    codes = {**CODES, **TRIAL_CODES}
    parts: list[Part] = [
        ("Fields", ("field", "type", "known at", "meaning"), map(_field, plain)),
        (
            "Fields of a recipient, in `any_rcpt`, `all_rcpt`, `no_rcpt` (in per_recipient rules as `rcpt.NAME`)",
            ("field", "type", "known at", "meaning"),
            map(_field, quantified),
        ),
        (
            "Operators",
            ("operator", "true if a value", "operand"),
            ((f"`{one.operator.value}`", one.manual, one.operand.value) for one in OPERATORS.values()),
        ),
        (
            "Actions",
            ("action", "kind", "what happens", "shape"),
            (
                (f"`{one.name}`", one.family.value, one.manual, f"`{one.shape}`")
                for one in ACTIONS.values()
                if one.family is not Family.LATER
            ),
        ),
        ("Placeholders", ("placeholder", "meaning"), ((f"`{{{name}}}`", said) for name, said in PLACEHOLDERS.items())),
        (
            "Placeholders of a rule with `limits`",
            ("placeholder", "meaning"),
            ((f"`{{{name}}}`", said) for name, said in OF_LIMITS.items()),
        ),
        *_forms(),
        (
            "Problems of policies",
            ("code", "severity", "meaning", "cure"),
            ((f"`{code}`", row.severity.name.lower(), row.summary, row.cure) for code, row in codes.items()),
        ),
        (
            "Problems of the daemon",
            ("code", "meaning", "cure"),
            ((f"`{code}`", summary, cure) for code, (summary, cure) in DAEMON_CODES.items()),
        ),
        (
            "What `tidegate postfix check` finds",
            ("code", "severity", "meaning", "cure"),
            (
                (f"`{code}`", severity.name.lower(), summary, cure)
                for code, (severity, summary, cure) in POSTFIX_CODES.items()
            ),
        ),
        ("Metrics", ("metric", "type", "meaning"), _metrics()),
    ]
    lines = [HEAD]
    for title, heads, rows in parts:
        lines += [f"## {title}", "", *table(heads, rows), ""]
    return "\n".join(lines)


if __name__ == "__main__":
    HERE.write_text(text(), encoding="utf-8")
    SETTINGS_PAGE.write_text(settings_page(), encoding="utf-8")
