"""Scenario files: a policy, cases, and what is expected of each. The admin's test format and the developers'.

```yaml
version: 1
policy: ../policies            # a directory or a file, relative to this file; or a policy written here after `|`
scenarios:
  - name: a suspended account is refused
    given: {login: mallory@example.com, rcpt: a@example.net}
    expect: {disposition: reject, reply: "550 5.7.1", rule: suspended-account}
```

`before` is a policy that was valid earlier: its entries are what a broken one falls back on. What `expect` does not
name is not compared.
"""

from __future__ import annotations

from collections.abc import Mapping as AbstractMapping
from dataclasses import dataclass, field, replace

from tidegate.model import Conventions, Disposition, Place, Problem, Source
from tidegate.policy.dates import Moment, read_moment
from tidegate.policy.examples import Case, build_case
from tidegate.policy.findings import Findings
from tidegate.policy.nodes import Mapping, Node, Scalar, Sequence, Tag, compose
from tidegate.policy.suggest import shown

SCENARIO_FILE_KEYS: dict[str, str] = {
    "version": "1",
    "about": "for people",
    "policy": "a directory or a file, or a policy written here after `|`",
    "before": "a policy that was valid earlier, written here after `|`",
    "settings": "default_realm, recipient_delimiter",
    "now": "the clock of all scenarios that have none",
    "scenarios": "the list of scenarios",
}
SCENARIO_KEYS: dict[str, str] = {
    "name": "what is promised, in a sentence",
    "given": "the case",
    "expect": "what has to come of it",
}
EXPECT_KEYS: dict[str, str] = {
    "disposition": "accept, discard, hold, defer or reject",
    "reply": "how the reply begins, e.g. 550 5.7.1 You may not",
    "reason": "the reason of a hold",
    "rule": "the rule that gave the disposition; none, if empty",
    "matched": "rules that match, all of them",
    "unknown": "rules that could not be known, all of them",
    "would": "the disposition with all shadow rules in force",
    "would_rules": "{RULE: the disposition with this one rule in shadow in force}, all of them",
    "certain": "false: the doubt decided",
    "headers": "{NAME: TEXT or list}: what is added; [] for removed",
    "rcpt": "all recipients in the end, copies included",
    "bcc": "the copies",
    "sender": "the new envelope sender",
    "suspends": "who is put on a live list, all of them",
    "refused": "{RECIPIENT: how its reply at RCPT begins}",
}
_SETTINGS = ("default_realm", "recipient_delimiter")
_DISPOSITIONS = tuple(one.name.lower() for one in Disposition)


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a scenario expects; None is not compared."""

    disposition: Disposition | None = None
    reply: str | None = None
    reason: str | None = None
    rule: str | None = None
    matched: tuple[str, ...] | None = None
    unknown: tuple[str, ...] | None = None
    would: Disposition | None = None
    would_rules: tuple[tuple[str, Disposition], ...] | None = None
    certain: bool | None = None
    headers: tuple[tuple[str, tuple[str, ...]], ...] | None = None
    recipients: tuple[str, ...] | None = None
    bcc: tuple[str, ...] | None = None
    sender: str | None = None
    suspends: tuple[str, ...] | None = None
    refused: tuple[tuple[str, str], ...] | None = None


@dataclass(frozen=True, slots=True)
class PolicyText:
    """Which policy a scenario is about: a path relative to the scenario file, or the text itself."""

    path: str = ""
    text: str = ""
    before: str = ""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One promise: in this policy, this case comes to that."""

    name: str
    case: Case
    expect: Expectation
    policy: PolicyText
    place: Place
    conventions: Conventions = field(default_factory=Conventions)


def parse_scenarios(source: Source) -> tuple[tuple[Scenario, ...], tuple[Problem, ...]]:
    """The scenarios of one file, and everything that is wrong with it. Never raises for what the file holds."""
    findings = Findings()
    if source.error:
        findings.add("unreadable-file", f"it can't be read: {source.error}", Place(source.name, 0, 0))
        return (), tuple(findings.problems)
    root, problems = compose(source.data, source.name)
    if root is None:
        return (), tuple(problems)
    written = findings.mapping(root, "a scenario file", "version, policy, scenarios")
    scenarios = () if written is None else _file(written, findings)
    return scenarios, (*problems, *findings.problems)


def _file(written: Mapping, findings: Findings) -> tuple[Scenario, ...]:
    keys = findings.keys(written, "a scenario file", SCENARIO_FILE_KEYS, required=("version", "policy", "scenarios"))
    version = keys.get("version")
    if version is not None and not (isinstance(version, Scalar) and version.text == "1" and not version.quoted):
        findings.add("unknown-version", "this is not version 1", version)
    if "about" in keys:
        findings.text(keys["about"], "`about`")
    policy = _policy(keys, findings)
    conventions = _conventions(keys["settings"], findings) if "settings" in keys else Conventions()
    now = read_moment(keys["now"], "`now`", findings) if "now" in keys else None
    items = findings.sequence(keys["scenarios"], "`scenarios`") if "scenarios" in keys else None
    found = [_scenario(item, policy, conventions, now, findings) for item in (items.items if items else ())]
    return tuple(one for one in found if one is not None)


def _policy(keys: AbstractMapping[str, Node], findings: Findings) -> PolicyText:
    written = findings.text(keys["policy"], "`policy`") if "policy" in keys else None
    before = findings.text(keys["before"], "`before`") if "before" in keys else None
    if written is None:
        return PolicyText(before=before or "")
    if "\n" in written:
        return PolicyText(text=written, before=before or "")
    return PolicyText(path=written, before=before or "")


def _conventions(node: Node, findings: Findings) -> Conventions:
    written = findings.mapping(node, "`settings`", "settings: {default_realm: example.com}")
    keys = findings.keys(written, "`settings`", _SETTINGS) if written else {}
    texts = {key: findings.text(value, f"`{key}`") or "" for key, value in keys.items()}
    return Conventions(**texts)


def _scenario(
    node: Node, policy: PolicyText, conventions: Conventions, now: Moment | None, findings: Findings
) -> Scenario | None:
    written = findings.mapping(node, "a scenario", "{name: …, given: …, expect: …}")
    if written is None:
        return None
    before = findings.errors()
    keys = findings.keys(written, "a scenario", SCENARIO_KEYS, required=SCENARIO_KEYS)
    name = findings.text(keys["name"], "`name`") if "name" in keys else None
    case = build_case(keys["given"], findings) if "given" in keys else None
    expect = _expectation(keys["expect"], findings) if "expect" in keys else None
    if name is None or case is None or expect is None or findings.errors() > before:
        return None
    if case.now is None and now is not None:
        case = replace(case, now=now.begin)
    return Scenario(name, case, expect, policy, node.place, conventions)


def _expectation(node: Node, findings: Findings) -> Expectation | None:
    written = findings.mapping(node, "`expect`", "expect: {disposition: accept}")
    if written is None:
        return None
    keys = findings.keys(written, "`expect`", EXPECT_KEYS)
    found: dict[str, object] = {}
    for key in ("disposition", "would"):
        if key in keys:
            word = findings.choice(keys[key], f"`{key}`", _DISPOSITIONS)
            found[key] = Disposition[word.upper()] if word else None
    if "would_rules" in keys:
        found["would_rules"] = _dispositions(keys["would_rules"], findings)
    for key in ("reply", "reason", "rule", "sender"):
        if key in keys:
            found[key] = _text_or_empty(keys[key], key, findings)
    texts = (("matched", "matched"), ("unknown", "unknown"), ("rcpt", "recipients"), ("bcc", "bcc"))
    for key, name in (*texts, ("suspends", "suspends")):
        if key in keys:
            found[name] = _texts_or_none(keys[key], key, findings)
    if "certain" in keys:
        found["certain"] = findings.flag(keys["certain"], "`certain`")
    if "headers" in keys:
        found["headers"] = _pairs(keys["headers"], "headers", findings)
    if "refused" in keys:
        found["refused"] = tuple(
            (one, texts[0] if texts else "") for one, texts in _pairs(keys["refused"], "refused", findings)
        )
    return Expectation(**found)  # type: ignore[arg-type]  # each key is set above to its own field's type


def _dispositions(node: Node, findings: Findings) -> tuple[tuple[str, Disposition], ...]:
    """`{RULE: DISPOSITION}`."""
    written = findings.mapping(node, "`would_rules`", "would_rules: {some-rule: reject}")
    words = [
        (key.text, findings.choice(value, f"`{key.text}`", _DISPOSITIONS))
        for key, value in (written.pairs if written else ())
    ]
    return tuple((name, Disposition[word.upper()]) for name, word in words if word)


def _text_or_empty(node: Node, key: str, findings: Findings) -> str | None:
    if isinstance(node, Scalar) and node.tag is Tag.TEXT:
        return "" if node.text == "<>" else node.text
    return findings.text(node, f"`{key}`")


def _texts_or_none(node: Node, key: str, findings: Findings) -> tuple[str, ...]:
    """A text or a list of texts; an empty list says that there are none."""
    if isinstance(node, Sequence) and not node.items:
        return ()
    return tuple(text for text, _ in findings.texts(node, f"`{key}`") or ())


def _pairs(node: Node, key: str, findings: Findings) -> tuple[tuple[str, tuple[str, ...]], ...]:
    if not isinstance(node, Mapping):
        findings.add("wrong-type", f"{shown(key)} is a map", node)
        return ()
    return tuple((one.text, _texts_or_none(value, one.text, findings)) for one, value in node.pairs)
