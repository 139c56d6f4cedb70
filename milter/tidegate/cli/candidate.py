"""A candidate for the policy: a directory, or files laid over the directory that is in use.

Promises: read in the confined child, as `tidegate check` reads it; what lies in the directory stays as it is.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence

from tidegate.cli.confined import Above, Opened, load
from tidegate.cli.output import UnableError
from tidegate.image import Generation
from tidegate.image.replica import Replicas, empty_replica
from tidegate.model import Conventions


def load_candidate(paths: Sequence[str], policies: str, conventions: Conventions, above: Above | None = None) -> Opened:
    """`paths` are one directory, or files that stand in for those of their names in the directory `policies`.

    None: that directory. `above`: what lies over them from Redis. Raises UnableError.
    """
    if not paths:
        return load(policies, conventions, above=above)
    if len(paths) == 1 and os.path.isdir(paths[0]):
        return load(paths[0], conventions, above=above)
    if any(os.path.isdir(one) for one in paths):
        raise UnableError("a candidate is one directory, or files; not both")
    with tempfile.TemporaryDirectory(prefix="tidegate-") as aside:
        try:
            _lay_over(paths, policies, aside)
        except OSError as error:
            raise UnableError(f"{error.filename or policies}: {error.strerror}") from error
        return load(aside, conventions, above=above)


def with_lists(opened: Opened, replicas: Replicas) -> tuple[Generation, tuple[str, ...]]:
    """The candidate with these copies of lists in Redis, and the names of those lists of which there is none: they are
    taken as empty."""
    missing = tuple(dict.fromkeys(one.key for one in opened.report.live if one.key not in replicas))
    conventions = opened.generation.conventions
    empty = {key: empty_replica(*key, conventions) for key in missing}
    return opened.generation.with_replicas({**replicas, **empty}), tuple(name for name, _ in missing)


def _lay_over(files: Sequence[str], policies: str, aside: str) -> None:
    """Links to all of it. Raises OSError."""
    given = {os.path.basename(one): os.path.abspath(one) for one in files}
    if len(given) < len(files):
        raise UnableError("two of the files have the same name")
    for name in given:
        if not name.endswith(".yaml") or name.startswith("."):
            raise UnableError(f"{name}: a policy file's name ends in .yaml, and begins with no dot")
    there = {name: os.path.join(os.path.abspath(policies), name) for name in os.listdir(policies)}
    for name, path in {**there, **given}.items():
        os.symlink(path, os.path.join(aside, name))
