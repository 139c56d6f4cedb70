"""Putting us into a Postfix configuration and taking us out again: a new main.cf and master.cf, made by postconf(1).

Promises: the new files are made in a private copy, by postconf alone, so a change can be shown before it is made and
is whole or not made at all; what was there before is kept, and comes back byte for byte where nobody edited since;
where somebody did, only what is ours is taken out. A second `enable` changes nothing.
Refuses: a configuration that already uses our names for something else.

A service's own `smtpd_milters` names `$tidegate`, or, where it had milters before, `$tidegate_SERVICE`: a line of
main.cf with us in front of them. (`postconf -P` takes no blanks, and a value can't name itself.)
"""

from __future__ import annotations

import difflib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tidegate.postfix.checks import Ourselves, ours
from tidegate.postfix.endpoint import for_postfix
from tidegate.postfix.instance import Instance, Service, UnreadableError, postconf, read_instance
from tidegate.postfix.lists import parse_list

_OUR_SETTINGS = "default_action=tempfail, connect_timeout=5s, command_timeout=20s, content_timeout=60s"
_NAMES = ("main.cf", "master.cf")
_REST = ("dynamicmaps.cf", "dynamicmaps.cf.d")
_OURS = re.compile(r"\$[{(]?(tidegate(?:_[A-Za-z0-9_]+)?)[})]?\Z")


class RefusedError(Exception):
    """It can't be done here; the text says why."""


@dataclass(frozen=True, slots=True)
class Change:
    """Two files as they are and as they would be, and what each service had before (None: no list of its own)."""

    directory: str
    before: Mapping[str, bytes]
    after: Mapping[str, bytes]
    had: Mapping[str, str | None]

    @property
    def empty(self) -> bool:
        """Is there nothing to do?"""
        return self.before == self.after

    def diff(self) -> str:
        """What would change, as `diff -u` shows it."""
        lines: list[str] = []
        for name in _NAMES:
            old, new = (side[name].decode("utf-8", "backslashreplace") for side in (self.before, self.after))
            where = os.path.join(self.directory, name)
            lines += difflib.unified_diff(old.splitlines(True), new.splitlines(True), where, where)
        return "".join(lines)


def entry_of(instance: Instance, us: Ourselves) -> str:
    """Our entry of a milter list, with settings of its own."""
    return f"{{ {for_postfix(us.listen, instance.values.get('queue_directory', ''))}, {_OUR_SETTINGS} }}"


def current(directory: str) -> dict[str, bytes]:
    """Both files as they are. Raises OSError."""
    return {name: Path(directory, name).read_bytes() for name in _NAMES}


def enabled(instance: Instance, us: Ourselves, services: tuple[Service, ...], *, local: bool) -> Change:
    """The change that puts us in front of these services, and of local mail. Raises RefusedError, OSError,
    UnreadableError."""
    entry = entry_of(instance, us)
    had: dict[str, str | None] = {}
    with _copy(instance.directory) as folder:
        for service in services:
            if not _has_us(instance, service, us):
                had[service.key] = service.written.get("smtpd_milters")
                list_name = _chain(folder, instance, service.key, instance.text(service, "smtpd_milters"))
                _edit(folder, "-P", f"{service.key}/smtpd_milters=${list_name}")
        if local and not ours(instance, None, parse_list(instance.value(None, "non_smtpd_milters")), us):
            had["local"] = instance.written.get("non_smtpd_milters")
            list_name = _chain(folder, instance, "local", instance.written.get("non_smtpd_milters", ""))
            _edit(folder, "-e", f"non_smtpd_milters=${list_name}")
        if had:
            known = instance.written.get("tidegate")
            if known is not None and parse_list(known) != parse_list(entry):
                raise RefusedError(f"main.cf has a `tidegate` of its own: {known}; rename or remove it")
            if known is None:
                _edit(folder, "-e", f"tidegate={entry}")
        return Change(instance.directory, current(instance.directory), current(folder), had)


def _has_us(instance: Instance, service: Service, us: Ourselves) -> bool:
    return bool(ours(instance, service, parse_list(instance.value(service, "smtpd_milters")), us))


def _chain(folder: str, instance: Instance, key: str, before: str) -> str:
    """The name of the list with us in front of `before`."""
    if not before:
        return "tidegate"
    name = "tidegate_" + re.sub(r"[^A-Za-z0-9]+", "_", key).strip("_")
    if name in instance.written:
        raise RefusedError(f"main.cf has a `{name}` already: {instance.written[name]}; rename or remove it")
    _edit(folder, "-e", f"{name}=$tidegate, {before}")
    return name


def disabled(instance: Instance, kept: Change | None) -> Change:
    """The change that takes us out. Raises RefusedError, OSError, UnreadableError."""
    now = current(instance.directory)
    if kept is not None and kept.after == now and kept.before:
        return Change(instance.directory, now, kept.before, kept.had)
    had = dict(kept.had) if kept is not None else {}
    with _copy(instance.directory) as folder:
        for service in instance.services:
            name = _named(service.written.get("smtpd_milters", ""))
            if name:
                _restore(folder, instance, service, had.get(service.key, _behind(instance, name)))
        name = _named(instance.written.get("non_smtpd_milters", ""))
        if name:
            before = had.get("local", _behind(instance, name))
            _edit(folder, *(("-X", "non_smtpd_milters") if before is None else ("-e", f"non_smtpd_milters={before}")))
        mine = [one for one in instance.written if one == "tidegate" or one.startswith("tidegate_")]
        if mine:
            _edit(folder, "-X", *mine)
        left = _leftover(read_instance(folder))
        if left:
            raise RefusedError(f"{left} names $tidegate in a list that was made by hand: take it out there first")
        return Change(instance.directory, now, current(folder), {})


def _named(value: str) -> str:
    found = _OURS.match(value)
    return found[1] if found else ""


def _behind(instance: Instance, name: str) -> str | None:
    """What stood in a list before us; None: nothing."""
    return instance.written.get(name, "").removeprefix("$tidegate").lstrip(", ") or None if name != "tidegate" else None


def _restore(folder: str, instance: Instance, service: Service, before: str | None) -> None:
    """Give a service its old list back."""
    if before is None:
        _edit(folder, "-PX", f"{service.key}/smtpd_milters")
    elif not re.search(r"\s", before):
        _edit(folder, "-P", f"{service.key}/smtpd_milters={before}")
    else:
        line, _ = postconf(folder, "-M", service.key)
        ours_there = f"smtpd_milters={service.written['smtpd_milters']}"
        _edit(folder, "-M", f"{service.key}={line.strip().replace(ours_there, f'{{smtpd_milters={before}}}')}")


def _leftover(instance: Instance) -> str:
    places = [(name, value) for name, value in instance.written.items()]
    places += [(f"{one.key}/{name}", value) for one in instance.services for name, value in one.written.items()]
    return next((name for name, value in places if re.search(r"\$[{(]?tidegate\b", value)), "")


def _edit(folder: str, *arguments: str) -> None:
    _, said = postconf(folder, *arguments)
    _age(folder)
    trouble = [one for one in said if "unused parameter" not in one]
    if trouble:
        raise UnreadableError("; ".join(trouble))


def _age(folder: str) -> None:
    """Postfix reads a file again and again until it is a second old (load_file.c), lest somebody still writes it."""
    for name in _NAMES:
        os.utime(Path(folder, name), (1, 1))


@contextmanager
def _copy(directory: str) -> Iterator[str]:
    """A private copy of what postconf reads."""
    with tempfile.TemporaryDirectory(prefix="tidegate-postfix-") as folder:
        for name in _NAMES:
            shutil.copyfile(Path(directory, name), Path(folder, name))
        for name in _REST:
            if Path(directory, name).is_dir():
                shutil.copytree(Path(directory, name), Path(folder, name))
            elif Path(directory, name).exists():
                shutil.copyfile(Path(directory, name), Path(folder, name))
        _age(folder)
        yield folder


def put(directory: str, files: Mapping[str, bytes]) -> None:
    """Put both files into place, each by a rename, with owner and mode as they were; both or none. Raises OSError."""
    drafts: list[tuple[Path, Path]] = []
    try:
        for name in _NAMES:
            place = Path(directory, name).resolve(strict=True)  # a link stays a link
            if place.read_bytes() != files[name]:
                drafts.append((_draft(place, files[name]), place))
        old = {place: place.read_bytes() for _, place in drafts}
        for number, (draft, place) in enumerate(drafts):
            try:
                os.replace(draft, place)
            except OSError:
                for _, earlier in drafts[:number]:
                    os.replace(_draft(earlier, old[earlier]), earlier)
                raise
    finally:
        for draft, _ in drafts:
            draft.unlink(missing_ok=True)


def _draft(place: Path, data: bytes) -> Path:
    found = place.stat()
    draft = place.with_name(f"{place.name}.tidegate")
    with open(draft, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(data)
        os.fchown(file.fileno(), found.st_uid, found.st_gid)
        os.fchmod(file.fileno(), found.st_mode & 0o7777)
        file.flush()
        os.fsync(file.fileno())
    return draft
