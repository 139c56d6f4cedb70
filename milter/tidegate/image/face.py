"""What of a policy can change a verdict, as digests: of each rule, and of all that is not a list's items.

Promises: two policies of one form differ in list items at most, which are data; two rules of one face answer every
message alike over the same lists. What is written for people (description, owner, where it stands) is in neither.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from hashlib import blake2b
from typing import Final

from tidegate.image.codec import CONVENTIONS, LIVE_SOURCE, RULE, compact, dump
from tidegate.model import Loaded, Rule

_FOR_PEOPLE: Final = frozenset({"description", "owner", "place", "digest"})
_SILENT: Final = tuple(at for at, field in enumerate(fields(Rule)) if field.name in _FOR_PEOPLE)


@dataclass(frozen=True, slots=True)
class Faces:
    """Of one policy: `form` is that of all but list items, `rules` has one digest for each rule, in their order."""

    form: str
    rules: tuple[str, ...]


def faces(loaded: Loaded) -> Faces:
    """The digests of what was loaded."""
    form = blake2b(dump(CONVENTIONS, loaded.conventions), digest_size=16)
    for one in sorted(loaded.lists, key=lambda data: data.name):
        form.update(f"\n{one.kind.value} {one.unavailable is None} {one.name}".encode("utf-8", "backslashreplace"))
        if one.live is not None:
            form.update(dump(LIVE_SOURCE, replace(one.live, allows=False)))
    rules = tuple([_face(rule) for rule in loaded.rules])
    for face in sorted(rules):
        form.update(face.encode())
    return Faces(form.hexdigest(), rules)


def _face(rule: Rule) -> str:
    row = RULE.write(rule)
    for at in _SILENT:
        row[at] = None
    return blake2b(compact(row), digest_size=8).hexdigest()
