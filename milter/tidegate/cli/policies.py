"""Policies with their examples, for `tidegate test`: read, built and opened in the confined child that it runs in."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable

from tidegate import image
from tidegate.cli.output import UnableError
from tidegate.loader.sources import problems as directory_problems
from tidegate.loader.sources import read_directory, read_file
from tidegate.model import Conventions, Problem, ReadFile, Source
from tidegate.policy.load import LoadedPolicy, load_policy

Opened = tuple[LoadedPolicy, image.Generation, tuple[Problem, ...]]


def open_policies(path: str, conventions: Conventions) -> Opened:
    """The policies of a directory, or of one file: as loaded, as a generation, and all problems.

    Raises UnableError where there is nothing to read.
    """
    if os.path.isfile(path):
        base, name = os.path.split(path)
        sources: Iterable[Source] = (read_file(base or ".", name),)
        return open_sources(sources, files_of(base or "."), conventions)
    found = read_directory(path)
    if found.error:
        raise UnableError(found.error)
    return open_sources(found.sources, files_of(path), conventions, directory_problems(found))


def open_sources(
    sources: Iterable[Source],
    read_list: ReadFile,
    conventions: Conventions,
    problems: Iterable[Problem] = (),
    before: LoadedPolicy | None = None,
) -> Opened:
    """The same for policies that have been read. `before` was valid earlier: broken entries fall back on it."""
    accepted = before.loaded.texts if before is not None else {}
    policy = load_policy(tuple(sources), read_list, conventions, time.time(), accepted)
    generation = image.Generation(image.build(policy.loaded, 1)).with_empty_lists()
    return policy, generation, (*problems, *policy.loaded.problems)


def files_of(base: str) -> ReadFile:
    """Reads files by a path relative to `base`."""
    return lambda name: read_file(base, name)
