"""`tidegate forget LOGIN`: purge what Tidegate holds of one person, and say what it can't, with the command for it.

`docs/privacy.md` has the table of all stores. Works on the files, with or without a daemon. Refuses to edit what is not
its own: policies, logs, Postfix's queue.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from tidegate import ledger, records, replay
from tidegate.cli.output import UnableError, emit, safe
from tidegate.cli.progress import Bar
from tidegate.cli.reach import daemon_options
from tidegate.cli.site import Site, find_site
from tidegate.cli.why import DAMAGED, opened, rotated
from tidegate.observe.masking import masked
from tidegate.settings import Settings
from tidegate.store import database
from tidegate.store.connection import StoreError, open_store
from tidegate.store.counting import UncountedError
from tidegate.store.lists import ListStore
from tidegate.store.opening import open_shelf, own_shelf

_SPOOLS = ("mail", "notices")  # folders of the state directory with what is on its way out
_PATIENCE = 5.0  # seconds for each answer of Redis
_LARGEST = 256 << 20  # bytes of a record that are searched


@dataclass(frozen=True, slots=True)
class Purged:
    """What was found in one of our own stores, and is gone."""

    store: str
    count: int


@dataclass(frozen=True, slots=True)
class Left:
    """What only a person can purge; `found` None: it can't be looked at from here."""

    store: str
    found: int | None
    why: str
    command: str = ""
    later: bool = False  # it can be looked at, but not now


@click.command()
@click.argument("login")
@daemon_options
@click.option("--dry-run", is_flag=True, help="Only look.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def forget(login: str, config: str, state: str, dry_run: bool, as_json: bool) -> None:
    """Purge what Tidegate holds of LOGIN, and say what it can't.

    The rows of the exposure ledger that tell of this login, or of this address as a sender, lose who and which message;
    the count stays. Messages kept for replay that name it anywhere are dropped, and notifications that were not sent.

    Exit codes: 0 nothing that we know of is left; 1 something is, and the command to purge it is shown; 2 it failed.
    """
    if not login.strip() or login.startswith("-"):
        raise UnableError(f"{login!r} is no login")
    site = find_site(config) if not state else None
    home = state or (site.states[0] if site else "")
    names = spellings(login, site.settings.default_realm if site and site.settings else "")
    try:
        purged = list(_purge(home, names, dry_run))
    except OSError as error:
        raise UnableError(f"{home}: {error.strerror}") from error
    left = list(_left(home, names, site))
    if site and site.settings and site.settings.redis:
        found = _in_redis(site.settings, names, dry_run)
        if isinstance(found, Purged):
            purged.append(found)
        else:
            left.append(found)
    if as_json:
        both = {"purged": [asdict(one) for one in purged], "left": [asdict(one) for one in left]}
        emit({"login": login, "dry_run": dry_run, **both})
    else:
        click.echo("\n".join(map(safe, _text(purged, left, dry_run))))
    sys.exit(1 if any(one.found or one.later for one in left) else 0)


def spellings(login: str, realm: str) -> tuple[str, ...]:
    """The forms in which a login may have been seen: with the default realm and without."""
    name = login.strip().lower()
    local, _, domain = name.partition("@")
    forms = [name]
    if realm and not domain:
        forms.append(f"{name}@{realm}")
    if realm and domain == realm:
        forms.append(local)
    return tuple(forms)


def _purge(state: str, names: Sequence[str], dry_run: bool) -> Iterator[Purged]:
    try:
        key = ledger.read_key(state)
    except (FileNotFoundError, records.DamagedError):
        who = []  # rows without a fingerprint are told by the mask
    else:
        who = [ledger.fingerprint(key, name) for name in names]
    rows = ledger.forget(state, who, [*map(masked, names), *names], only_count=dry_run)
    yield Purged("rows of the exposure ledger", rows)
    pattern = _pattern(names)
    bar = Bar("searching what is kept for replay")
    try:
        kept = replay.forget(
            state, lambda text: pattern.search(text) is not None, only_count=dry_run, progress=bar.show
        )
    except replay.UnavailableError:
        if not dry_run:  # nobody can look into it here
            replay.purge(state)
        kept = 0
    finally:
        bar.clear()
    yield Purged("messages kept for replay", kept)
    waiting = [path for spool in _SPOOLS for path in _files(Path(state) / spool) if _mentions(path, names)]
    for path in waiting:
        if not dry_run:
            path.unlink(missing_ok=True)
    yield Purged("notifications that were not sent yet", len(waiting))
    shelf = own_shelf(state)
    if shelf is not None:
        try:
            yield Purged("counters of limits, grants, and who gave them", shelf.forget(names, dry_run))
        except UncountedError as error:
            raise UnableError(error.why) from error
        finally:
            shelf.close()


def _in_redis(settings: Settings, names: Sequence[str], dry_run: bool) -> Purged | Left:
    """The same in the Redis that all hosts share."""
    store = "counters of limits in Redis, grants, and who gave them"
    shelf = open_shelf(settings)
    try:
        return Purged(store, shelf.forget(names, dry_run))
    except UncountedError as error:
        why = f"it can't be looked at now: {error.why}"
        return Left(store, None, why, "tidegate forget, once it is back", later=True)
    finally:
        shelf.close()


def _left(state: str, names: Sequence[str], site: Site | None) -> Iterator[Left]:
    settings = site.settings if site else None
    words = " ".join(f"-e {shlex.quote(name)}" for name in names)
    policies = settings.policies if settings else ""
    kept = sum(_mentions(path, names) for path in _files(Path(state)) if not _ours(path, state))
    yield Left(
        "policies, and the records of what they were",
        kept,
        "what an admin wrote is in force; the records follow an edit, what is proven with the third generation",
        f"grep -rniwF {words} {shlex.quote(policies)}" if policies else "",
    )
    if settings is not None and settings.redis:
        yield _live_lists(settings, names)
    log = settings.log if settings else ""
    if log and log != "stderr":
        yield from _log(log, names, words)
    else:
        yield Left(
            "the decision log",
            None,
            "the journal, or wherever standard error goes, has it; with `mask: true` logins are masked there",
            f"journalctl -u tidegate | grep -iwF {words}",
        )
    first = shlex.quote(next((name for name in names if "@" in name), names[0]))
    queue = f"postqueue -j | jq -r --arg who {first} 'select(.sender==$who) | .queue_id'"
    yield Left(
        "Postfix's queue, with the mail that was held", None, "whole messages; not ours", f"{queue} | postsuper -d -"
    )
    yield Left("Postfix's log", None, "not ours; it leaves by rotation", f"zgrep -iwF {words} /var/log/mail.log*")
    yield Left("backups of all of these", None, "not ours")


def _live_lists(settings: Settings, names: Sequence[str]) -> Left:
    """Entries of live lists: what a person put there stays in force, a suspension for one."""
    found: dict[str, list[str]] = {}
    link = open_store(settings, _PATIENCE)
    store = ListStore(link)
    why = "an entry is in force until somebody takes it off; the audit stream forgets by its length"
    try:
        for name in store.versions():
            entries = store.some(name, names)
            found[name] = [key for key, entry in zip(names, entries, strict=True) if entry is not None]
    except StoreError as error:
        return Left(
            "live lists in Redis", None, f"{why}; {error.why}", f"tidegate list show NAME {shlex.quote(names[0])}"
        )
    finally:
        link.close()
    held = {name: keys for name, keys in found.items() if keys}
    commands = [f"tidegate list rm {name} {' '.join(map(shlex.quote, keys))}" for name, keys in held.items()]
    return Left("live lists in Redis", sum(map(len, held.values())), why, " && ".join(commands))


def _log(log: str, names: Sequence[str], words: str) -> Iterator[Left]:
    """The log and its rotated forms: lines that name the login unmasked."""
    paths = [*rotated(log), log]
    count = sum(_lines(path, names) for path in paths)
    files = f"{shlex.quote(log)}*"
    yield Left(
        "the decision log and its rotated forms",
        count,
        "it leaves by rotation; with `mask: true` logins are masked there, which can't be told from others",
        f"zgrep -niwF {words} {files}",
    )


def _files(folder: Path) -> Iterator[Path]:
    try:
        found = sorted(folder.rglob("*"))
    except OSError:
        return
    yield from (path for path in found if path.is_file() and not path.is_symlink())


def _ours(path: Path, state: str) -> bool:
    """Is it one of the stores that were purged?"""
    parts = path.relative_to(state).parts
    counters = parts[0] == database.FOLDER and parts[-1] in (database.NAME, *database.SIDES)
    return counters or parts[0] in (*_SPOOLS, ledger.FOLDER, replay.FOLDER)


def _pattern(names: Sequence[str]) -> re.Pattern[bytes]:
    """These names as whole words: `bob` is neither `bobby` nor `bob@example.net`."""
    words = "|".join(map(re.escape, names))
    return re.compile(rf"(?<![\w.+@-])(?:{words})(?![\w.+@-])".encode("utf-8", "surrogateescape"), re.IGNORECASE)


def _mentions(path: Path, names: Sequence[str]) -> bool:
    try:
        return path.stat().st_size <= _LARGEST and _pattern(names).search(path.read_bytes()) is not None
    except OSError:
        return False  # it is gone by now, or may not be read: the command that is shown says so


def _lines(path: str, names: Sequence[str]) -> int:
    pattern = _pattern(names)
    try:
        with opened(path) as file:
            return sum(pattern.search(line) is not None for line in file)
    except DAMAGED:
        return 0


def _text(purged: Sequence[Purged], left: Sequence[Left], dry_run: bool) -> Iterator[str]:
    for one in purged:
        yield f"{'found' if dry_run else 'purged':<8} {one.count} {one.store}"
    for other in left:
        if other.found == 0:
            yield f"{'clean':<8} {other.store}"
            continue
        count = "" if other.found is None else f" ({other.found} found)"
        yield f"{'left':<8} {other.store}{count}: {other.why}"
        if other.command:
            yield f"{'':<8} {other.command}"
