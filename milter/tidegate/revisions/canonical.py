"""One value, one text: JSON with sorted keys, no spaces, ASCII only and whole numbers only; and its SHA-256.

Promises: `parse` gives a value or a Flaw, whatever the bytes; it says no to what `canonical` would not have written the
same, unless the caller asks for less. Refuses: floats (two spellings), duplicate keys (two readings), depth.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

SIZE_LIMIT = 16 << 20  # bytes of a manifest or a record
SHA = re.compile(r"[0-9a-f]{64}")
_DEEPEST = 8
_LARGEST = 2**53  # what every reader of JSON keeps exactly


@dataclass(frozen=True, slots=True)
class Flaw:
    """Why something can't be what it should be, for a person."""

    why: str

    def __str__(self) -> str:
        return self.why


class _UnfitError(Exception):
    """Where the JSON is no document of ours; turned into a Flaw here."""


def canonical(value: Any) -> bytes:
    """The one text of a value made of maps, lists, texts, whole numbers, truth values and None."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode("ascii")


def digest_of(data: bytes) -> str:
    """Its SHA-256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def parse(data: bytes) -> Any | Flaw:
    """The value of a JSON text, canonical or not."""
    if len(data) > SIZE_LIMIT:
        return Flaw(f"it is larger than {SIZE_LIMIT} bytes")
    try:
        value = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_once,
            parse_float=_never,
            parse_constant=_never,
            parse_int=_small,
        )
        _shallow(value, 0)
    except _UnfitError as error:
        return Flaw(str(error))
    except UnicodeDecodeError:
        return Flaw("it is not UTF-8")
    except (ValueError, RecursionError):
        return Flaw("it is no JSON")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _UnfitError("a key stands twice in it")
    return found


def _never(text: str) -> Any:
    raise _UnfitError(f"{text[:20]} is no whole number")


def _small(text: str) -> int:
    if len(text) > 17 or abs(int(text)) > _LARGEST:
        raise _UnfitError(f"{text[:20]} is too large")
    return int(text)


def _shallow(value: Any, depth: int) -> None:
    if depth > _DEEPEST:
        raise _UnfitError("it is nested too deep")
    if isinstance(value, dict):
        for one in value.values():
            _shallow(one, depth + 1)
    elif isinstance(value, list):
        for one in value:
            _shallow(one, depth + 1)


class Fields:
    """Takes the fields of a map one by one, and remembers the first thing that is wrong."""

    def __init__(self, value: Any, what: str) -> None:
        self.flaw = "" if isinstance(value, dict) else f"{what} is no map"
        self._left: dict[str, Any] = dict(value) if isinstance(value, dict) else {}

    def text(self, name: str, longest: int, fits: Callable[[str], Any] = bool) -> str:
        """A text; one that does not `fit` is wrong unless it is empty."""
        value = self._take(name)
        if not isinstance(value, str):
            self._wrong(name, "is no text")
            return ""
        if len(value) > longest:
            self._wrong(name, "is too long")
        elif value and not fits(value):
            self._wrong(name, "makes no sense")
        return value

    def number(self, name: str, low: int = 0) -> int:
        """A whole number."""
        value = self._take(name)
        if not isinstance(value, int) or isinstance(value, bool) or value < low:
            self._wrong(name, f"is no whole number from {low}")
            return low
        return value

    def many(self, name: str) -> list[Any]:
        """A list."""
        value = self._take(name)
        if not isinstance(value, list):
            self._wrong(name, "is no list")
            return []
        return value

    def optional(self, name: str) -> list[Any]:
        """A list that is left out where it is empty."""
        return self.many(name) if name in self._left else []

    def end(self) -> str:
        """What was wrong first, or a field too many; "": nothing."""
        if not self.flaw and self._left:
            self.flaw = f"there is no field `{min(self._left)[:40]}`"
        return self.flaw

    def _take(self, name: str) -> Any:
        if name not in self._left:
            self._wrong(name, "is missing")
        return self._left.pop(name, None)

    def _wrong(self, name: str, why: str) -> None:
        self.flaw = self.flaw or f"`{name}` {why}"
