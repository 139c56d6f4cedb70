"""Postfix access tables, as lists and rules.

An indexed table is asked with ever less of the address, and the first key that is there decides (access(5)): the most
specific one. A table of patterns or networks is read from the top (regexp_table(5), pcre_table(5), cidr_table(5)).
Promises: a key behind a more specific one with another action is a rule of its own, with that one under `except`.
Refuses: `$1` in actions, `if`/`endif`, and keys that are neither addresses, domains nor networks.

`parent_domain_matches_subdomains` holds smtpd_access_maps unless somebody took it out: `example.com` covers what is
below it, and `.example.com` is never looked up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from tidegate.importing.accesskeys import (
    Key,
    Subject,
    asked_by,
    identity,
    indexed_key,
    looked_up_last,
    more_general,
    ordered_key,
)
from tidegate.importing.actions import Effect, effect_of
from tidegate.importing.firstmatch import Step, Unsplittable, outranked, refuses, strictest
from tidegate.importing.words import Imported, NewException, NewList, NewRule, Untranslated, Value

Line = tuple[int, str, str]
"""The number of a line, its key, its action."""

ORDERED = ("regexp", "pcre", "cidr")
_FEW = 4  # items that stand in the rule itself


def imported(lines: Iterable[Line], subject: Subject, table: str) -> Imported:
    """The rules of a table of the type `table` (hash, regexp, cidr, …)."""
    untranslated: list[Untranslated] = []
    keys = list(_keys(lines, subject, table, untranslated))
    lists: list[NewList] = []
    rules: list[NewRule] = []
    if table in ORDERED:
        for found in strictest(_steps(keys, subject)):
            if isinstance(found, Unsplittable):
                why = f"it would have to except {found.because}, and only one of the two is about single recipients"
                untranslated.append(Untranslated(_line_of(found.rule), found.rule.id, why))
            else:
                rules.append(found)
    else:
        rules = list(_by_specificity(keys, subject, lists))
    remarks: dict[str, None] = {}
    if any(key.effect.permits and not key.effect.logs for key in keys):
        remarks["OK and DUNNO are exceptions here; OK also ended the restriction list in which the table stood"] = None
    if table == "pcre" or table == "regexp":
        remarks["a pattern is tried on the address or the name alone, never on the client's address"] = None
    return Imported(tuple(rules), tuple(lists), tuple(remarks), tuple(untranslated))


def _keys(lines: Iterable[Line], subject: Subject, table: str, untranslated: list[Untranslated]) -> Iterator[Key]:
    """What can be translated; the rest is told."""
    for number, text, action in lines:
        effect = effect_of(action if text.lower() not in ("if", "endif") else text)
        if isinstance(effect, str):
            untranslated.append(Untranslated(number, f"{text} {action}", effect))
            continue
        if "$" in action and table in ORDERED:
            untranslated.append(
                Untranslated(number, f"{text} {action}", "what a pattern matched can't be used in a reply")
            )
            continue
        make = ordered_key if table in ORDERED else indexed_key
        key = make(number, text, effect, subject, table)
        if isinstance(key, str):
            untranslated.append(Untranslated(number, f"{text} {action}", key))
        else:
            yield key


def _steps(keys: Iterable[Key], subject: Subject) -> Iterator[Step]:
    """A table that is read from the top: neighbours of one action are one rule."""
    run: list[Key] = []
    for key in [*keys, None]:
        if run and (key is None or key.effect != run[0].effect):
            yield _step(run, subject)
            run = []
        if key is not None:
            run.append(key)


def _step(run: Sequence[Key], subject: Subject) -> Step:
    effect, when = run[0].effect, asked_by(run, subject)
    about_one = subject is Subject.RECIPIENT
    rule = None
    if effect.do:
        whole = asked_by(run, subject, anybody=True) if about_one and not refuses(effect) else when
        rule = _rule(f"{subject.value}-{run[0].line}", whole, effect, ())
    return Step(f"line-{run[0].line}", when, effect, rule, recipients=about_one)


def _by_specificity(keys: Sequence[Key], subject: Subject, lists: list[NewList]) -> Iterator[NewRule]:
    """A table that is asked with ever less of the address: what nothing more specific contradicts is one rule."""
    specific: dict[str, list[Key]] = {}
    for key in keys:
        for general in more_general(key):
            specific.setdefault(general, []).append(key)
    names = [key for key in keys if key.kind in ("domain", "address") and "@" not in key.text]
    plain: dict[str, list[Key]] = {}
    behind: list[tuple[Key, list[Key]]] = []
    for key in keys:
        if not key.effect.do:
            continue
        before = [*specific.get(identity(key), ()), *(names if looked_up_last(key) else ())]
        milder = [one for one in before if outranked(one.effect, key.effect)]
        if milder:
            behind.append((key, milder))
        else:
            plain.setdefault(repr(key.effect), []).append(key)
    for group in plain.values():
        when = _listed(group, subject, lists)
        yield _rule(f"{subject.value}-{group[0].line}", when, group[0].effect, (), _at_rcpt(group[0].effect, subject))
    for key, milder in behind:
        clause = NewException("more-specific", asked_by(milder, subject, anybody=_anybody(key.effect, subject)))
        when = asked_by([key], subject, anybody=_anybody(key.effect, subject))
        yield _rule(f"{subject.value}-{key.line}", when, key.effect, (clause,), _at_rcpt(key.effect, subject))


def _listed(group: Sequence[Key], subject: Subject, lists: list[NewList]) -> Value:
    """The test of many keys: by a list of its own where it is long and all of it is of one field."""
    fields = {key.field for key in group}
    items = tuple(item for key in group for item in key.items)
    kinds = {key.kind for key in group}
    if len(fields) == 1 and len(items) > _FEW and "" not in kinds:
        name = f"{subject.value}-{group[0].line}"
        lists.append(NewList(name, kinds.pop(), items))
        return asked_by(group, subject, anybody=_anybody(group[0].effect, subject), named=name)
    return asked_by(group, subject, anybody=_anybody(group[0].effect, subject))


def _anybody(effect: Effect, subject: Subject) -> bool:
    """Is the rule about any of the recipients, and not about one alone?"""
    return subject is Subject.RECIPIENT and not refuses(effect)


def _at_rcpt(effect: Effect, subject: Subject) -> bool:
    return subject is Subject.RECIPIENT and refuses(effect)


def _rule(
    name: str, when: Value, effect: Effect, exceptions: tuple[NewException, ...], per_recipient: bool = False
) -> NewRule:
    comments = (effect.remark,) if effect.remark else ()
    if effect.logs:
        comments = (*comments, "it only logged: in shadow it says `would` in the log, and does nothing")
    return NewRule(
        name,
        when,
        effect.do,
        exceptions=exceptions,
        per_recipient=per_recipient,
        shadow=effect.logs,
        comments=comments,
    )


def _line_of(rule: NewRule) -> int:
    return int(rule.id.rpartition("-")[2])
