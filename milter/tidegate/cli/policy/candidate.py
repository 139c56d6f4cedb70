"""A change before it is stored: cut into documents and checked, with its examples, beside what it will live with.

The check is the daemon's own load, confined (cli/confined.py): the policy directory of this machine, and over it what
Redis would hold. Promises: what is wrong is told as `tidegate check` tells it, at the line of the file that its author
has before him; a change is refused for what is wrong with it and for what it breaks elsewhere, not for what was broken
before. Refuses: storing anything.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from tidegate.cli.confined import Opened, load, run
from tidegate.cli.output import UnableError
from tidegate.cli.policy.session import Session
from tidegate.loader.report import key_from, problem_from, problem_json
from tidegate.model import EntryKey, Place, Problem, Severity, Source
from tidegate.policy.codes import problem
from tidegate.policy.documents import Document, documents
from tidegate.policy.excerpts import with_excerpts
from tidegate.policy.layers import Layer
from tidegate.policy.read import MAX_FILE, read_file
from tidegate.revisions import Manifest, Named, digest_of

_SHOWN = 8  # characters of a digest in the name of a source


@dataclass(frozen=True, slots=True)
class Cut:
    """A file as documents; `problems` keep it from being one, or are remarks."""

    name: str
    documents: tuple[Document, ...] = ()
    problems: tuple[Problem, ...] = ()
    places: Mapping[EntryKey, Place] = field(default_factory=dict)

    @property
    def broken(self) -> bool:
        """Is anything wrong with it?"""
        return any(one.severity is Severity.ERROR for one in self.problems)

    @property
    def named(self) -> tuple[Named, ...]:
        """The entries for a manifest."""
        return tuple(Named(one.key, digest_of(one.text.encode())) for one in self.documents)

    @property
    def texts(self) -> dict[str, str]:
        """By digest."""
        return {digest_of(one.text.encode()): one.text for one in self.documents}


def read_bytes(path: str) -> tuple[str, bytes]:
    """A file, or standard input for `-`; and how it is called. Raises UnableError."""
    if path == "-":
        data = sys.stdin.buffer.read(MAX_FILE + 1)
        return "standard input", data
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            return path, file.read(MAX_FILE + 1)
    except OSError as error:
        raise UnableError(f"{path}: {error.strerror}") from error


def cut(name: str, data: bytes) -> Cut:
    """Cut the bytes of a policy file, in a confined child. Raises UnableError where that died."""
    values = json.loads(run(lambda progress: _cut_in_child(Source(name, data), progress)))
    found = tuple(Document(key_from(key), *rest) for key, *rest in values["documents"])
    places = {key_from(key): Place(name, line, column) for key, line, column in values["places"]}
    return Cut(name, found, tuple(problem_from(one) for one in values["problems"]), places)


def _cut_in_child(source: Source, progress: object) -> str:
    assert callable(progress)
    progress(source.name)
    file = read_file(source)
    problems = [*file.problems, *(one for entry in file.entries for one in entry.problems)]
    problems += _duplicates([(entry.key, entry.place) for entry in file.entries])
    if not file.entries and not any(one.severity is Severity.ERROR for one in problems):
        problems.append(problem("empty-file", "there is no entry in it", Place(source.name, 1, 1)))
    found: list[Document] = []
    if not any(one.severity is Severity.ERROR for one in problems):
        for one in documents(source):
            if isinstance(one, Document):
                found.append(one)
            else:
                text = f"{one.key} can't be taken out of this file as it is written; write it on lines of its own"
                problems.append(problem("yaml-syntax", text, one.place, entry=one.key))
    problems.sort(key=lambda one: (one.place.line, one.place.column))
    return json.dumps(
        {
            "problems": [problem_json(one) for one in with_excerpts(problems, {source.name: source.data})],
            "documents": [[str(one.key), one.text, one.first, one.lines, one.columns] for one in found],
            "places": [[str(one.key), one.place.line, one.place.column] for one in file.entries],
        }
    )


def _duplicates(entries: Sequence[tuple[EntryKey, Place]]) -> list[Problem]:
    places: dict[EntryKey, Place] = {}
    found = []
    for key, place in entries:
        other = places.setdefault(key, place)
        if other is not place:
            text = f"the {key.kind.value} `{key.id}` stands at {other} too; neither counts"
            found.append(problem("duplicate-id", text, place, entry=key))
    return found


@dataclass(frozen=True, slots=True)
class Checked:
    """What a manifest would come to here. `problems` are those that concern the change."""

    opened: Opened
    covered: Mapping[EntryKey, str]  # where the files' entries stand that lie under those in Redis
    problems: tuple[Problem, ...] = ()

    @property
    def broken(self) -> bool:
        """Must it not be stored?"""
        return any(one.severity is Severity.ERROR for one in self.problems)

    def overrides(self, key: EntryKey) -> str:
        """Where the file's entry stands that this one takes the place of; "": there is none."""
        return self.covered.get(key, "")


def source_name(environment: str, key: EntryKey, sha: str) -> str:
    """How an entry in Redis is called where a file has its name."""
    return f"redis:{environment}/{key.id}@{sha[:_SHOWN]}"


def layer_of(environment: str, manifest: Manifest, texts: Mapping[str, str]) -> Layer:
    """What Redis holds, as it lies over the files."""
    sources = {
        one.key: Source(source_name(environment, one.key, one.sha), texts[one.sha].encode()) for one in manifest.entries
    }
    return Layer(f"redis:{environment}", sources, frozenset(manifest.removed))


def look(opened: Session, manifest: Manifest, texts: Mapping[str, str]) -> Opened:
    """What this machine would make of a manifest. Raises UnableError."""
    return load(opened.policies, opened.conventions, layer_of(opened.environment, manifest, texts))


def check(
    opened: Session, before: Manifest, after: Manifest, texts: Mapping[str, str], cuts: Sequence[Cut] = ()
) -> Checked:
    """Check `after`, which is to take the place of `before`; `texts` hold all of both. Raises UnableError."""
    found = look(opened, after, texts)
    changed = {one.key for one in {*after.entries} - {*before.entries}}
    own = [one for one in found.problems if one.entry in changed]
    elsewhere = [one for one in found.problems if one.entry not in changed and one.severity is Severity.ERROR]
    if elsewhere:
        known = {_same(one) for one in look(opened, before, texts).problems}
        own += [one for one in elsewhere if _same(one) not in known]
    homes = {source_name(opened.environment, one.key, digest_of(one.text.encode())): (each, one)
             for each in cuts for one in each.documents}  # fmt: skip
    covered = {one.key: one.overrides for one in found.report.entries if one.overrides}
    return Checked(found, covered, tuple(_at_home(one, homes) for one in own))


def _same(one: Problem) -> tuple[str, EntryKey | None, str]:
    """What makes two problems of two loads the same, wherever they stand."""
    return one.code, one.entry, one.message


def _at_home(one: Problem, homes: Mapping[str, tuple[Cut, Document]]) -> Problem:
    """With the place that its author knows."""
    home = homes.get(one.place.source)
    if home is None:
        return one
    file, document = home
    (one,) = with_excerpts([one], {one.place.source: document.text.encode()})
    own = file.places.get(document.key, Place(file.name, 1, 1))
    moved = document.at_home(one, file.name, own)
    return replace(moved, message=_renamed(moved.message, homes))


def _renamed(message: str, homes: Mapping[str, tuple[Cut, Document]]) -> str:
    """Places that stand in a message, too."""
    for name, (file, document) in homes.items():
        if name in message:
            own = file.places.get(document.key, Place(file.name, 1, 1))
            message = message.replace(f"{name}:{document.first}:", f"{file.name}:{own.line}:")
    return message
