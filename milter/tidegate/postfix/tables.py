"""What stands in a Postfix table: pairs of key and value, by postmap(1) or from a file of texthash's form.

Promises: only reads; a table that can't be listed (a database server, patterns) is told as such, with what helps.
Source: DATABASE_README, postmap(1) option -s, access(5) on the form of the files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tidegate.postfix.instance import UnreadableError, run

INDEXED = ("hash", "btree", "lmdb", "cdb", "sdbm", "dbm")
_ELSEWHERE = ("ldap", "mysql", "pgsql", "sqlite", "memcache", "mongodb", "socketmap", "tcp", "proxy")
_PATTERNS = ("regexp", "pcre", "cidr")
_TABLE = re.compile(r"(?:proxy:)?([a-z]+):(\S+)")
_LARGEST = 64 << 20  # bytes of a table's text


def pairs_of(table: str, directory: str = "") -> tuple[tuple[str, str], ...]:
    """The pairs of one table as main.cf writes it, `hash:/etc/postfix/x`. Raises UnreadableError."""
    found = _TABLE.fullmatch(table.strip())
    if found is None:
        raise UnreadableError(f"{table}: that is no table such as hash:/etc/postfix/name")
    kind, path = found[1], found[2]
    if kind in _PATTERNS:
        raise UnreadableError(f"{table}: patterns name nobody; their list has to be made by hand")
    if kind in _ELSEWHERE:
        raise UnreadableError(f"{table}: Postfix can't list it; ask its server, see `tidegate list sync --help`")
    if kind == "texthash":
        return tuple(pairs_in(_read(path)))
    if kind not in INDEXED:
        raise UnreadableError(f"{table}: tables of the type {kind} are not read")
    where = ["-c", directory] if directory else []
    done = run(["postmap", *where, "-s", f"{kind}:{path}"])
    if done.returncode:
        raise UnreadableError(done.stderr.strip() or f"postmap ended with {done.returncode}")
    return tuple(_listed(done.stdout))


def pairs_in(text: str) -> Iterator[tuple[str, str]]:
    """The pairs of a table's source text (access(5)): comments, continuation lines, `"quoted keys"`."""
    for _, line in logical_lines(text):
        key, value = split_pair(line)
        yield key, value


def logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Each logical line and the number of its first physical one: a line that begins with a blank goes on."""
    start, line = 0, ""
    for number, physical in enumerate(text.splitlines(), 1):
        if not physical.strip() or physical.lstrip().startswith("#"):
            continue
        if physical[0] in " \t" and line:
            line = f"{line} {physical.strip()}"
            continue
        if line:
            yield start, line
        start, line = number, physical.strip()
    if line:
        yield start, line


def split_pair(line: str) -> tuple[str, str]:
    """Key and value of a logical line; a key with blanks stands in double quotes."""
    if line.startswith('"'):
        key, _, value = line[1:].partition('"')
        return key, value.strip()
    key = line.split(None, 1)[0]
    return key, line[len(key) :].strip()


def _listed(output: str) -> Iterator[tuple[str, str]]:
    """What `postmap -s` prints: a key, a tabulator, a value."""
    for line in output.splitlines():
        key, tabulator, value = line.partition("\t")
        if tabulator:
            yield key, value


def _read(path: str) -> str:
    try:
        with open(path, "rb") as file:
            data = file.read(_LARGEST + 1)
    except OSError as error:
        raise UnreadableError(f"{path}: {error.strerror}") from error
    if len(data) > _LARGEST:
        raise UnreadableError(f"{path}: it is larger than {_LARGEST} bytes")  # a part of it would look like the whole
    return data.decode("utf-8", "surrogateescape")
