"""A thin binding to libhs.so.5.

Promises: no pattern and no text makes a scan slow, or C call back into Python: inside a milter callback that is a
segfault (DESIGN section 6). The match handler is libc's getpid: not zero, so the scan stops at the first match and
reports that it was stopped. Only valid UTF-8 reaches the engine.

Scratch memory: the engine wants a scratch of its own for each scan under way, at least as large as the database asks.
One template grows with every database that is made or read; scans take copies of it from a pool, whose list operations
are atomic, and copies that are older than their database are replaced.
"""

from __future__ import annotations

import ctypes
import re
import threading
from collections.abc import Sequence
from ctypes import POINTER, byref, c_char_p, c_int, c_size_t, c_uint, c_void_p
from functools import cache
from typing import Final

LIBRARY = "libhs.so.5"
MAX_PATTERN: Final = 4096
"""Characters of one pattern."""

_CURE = "apt install libhyperscan5, or libvectorscan5 where the processor is not an x86"

# hs_compile.h; DOTALL and MULTILINE are left to the pattern itself.
_CASELESS, _ALLOWEMPTY, _UTF8, _MODE_BLOCK = 1, 16, 32, 1
_TERMINATED: Final = -3

_SHORT: Final = 16 * 1024
"""Bytes up to which a scan (some 10 us) keeps the interpreter lock: handing it over costs more than that."""

_SURROGATE = re.compile("[\ud800-\udfff]")

# NUL would end the pattern (a C string); DEL makes Hyperscan 5.4 say that the pattern is not UTF-8.
_UNWRITABLE = re.compile("[\0\x7f]")

_REASONS = (
    ("back-reference", "it refers back to a group (\\1), which can't be matched in linear time"),
    ("zero-width assertion", "it looks ahead or behind ((?=…) (?!…) (?<=…) (?<!…)); ask for it with a test of its own"),
    ("possessive", "it has a possessive quantifier (a++); write the plain one (a+), which never backtracks here"),
    ("atomic group", "it has an atomic group ((?>…)); write a plain group (?:…), which never backtracks here"),
    ("too large", "it is too large for the engine; make its repeats {m,n} smaller, or fewer"),
    ("in ucp mode", "\\b and Unicode classes do not go together; leave (*UCP) out"),
    ("\\u", "\\u is not known; write the character itself, or \\x{00DF}"),
)


class PatternError(Exception):
    """The engine refused a pattern, a database or a scan; the text says why."""


class _CompileError(ctypes.Structure):
    """hs_compile_error_t."""

    _fields_ = (("message", c_char_p), ("expression", c_int))


class _Engine:
    """The library's functions, and the scratches. Raises OSError or AttributeError where there is no such library."""

    def __init__(self, name: str) -> None:
        # PyDLL keeps the interpreter lock during the call, CDLL gives it up.
        keeping, yielding, libc = ctypes.PyDLL(name), ctypes.CDLL(name), ctypes.CDLL(None)
        stop = ctypes.cast(libc.getpid, c_void_p).value
        if stop is None:
            raise OSError("libc has no getpid")
        self.stop: int = stop
        self.free_memory = libc.free
        self.free_memory.argtypes, self.free_memory.restype = (c_void_p,), None
        self.platform = keeping.hs_valid_platform
        named = keeping.hs_version
        named.argtypes, named.restype = (), c_char_p
        self.version: str = (named() or b"").decode("ascii", "replace")
        self.compile = yielding.hs_compile_multi
        self.compile.argtypes = (
            POINTER(c_char_p), POINTER(c_uint), POINTER(c_uint), c_uint, c_uint, c_void_p,
            POINTER(c_void_p), POINTER(POINTER(_CompileError)),
        )  # fmt: skip
        self.free_error = keeping.hs_free_compile_error
        self.free_error.argtypes = (POINTER(_CompileError),)
        self.serialise = keeping.hs_serialize_database
        self.serialise.argtypes = (c_void_p, POINTER(c_void_p), POINTER(c_size_t))
        self.deserialise = keeping.hs_deserialize_database
        self.deserialise.argtypes = (c_char_p, c_size_t, POINTER(c_void_p))
        self.free_database = keeping.hs_free_database
        self.free_database.argtypes = (c_void_p,)
        self.alloc = keeping.hs_alloc_scratch
        self.alloc.argtypes = (c_void_p, POINTER(c_void_p))
        self.clone = keeping.hs_clone_scratch
        self.clone.argtypes = (c_void_p, POINTER(c_void_p))
        self.free_scratch = keeping.hs_free_scratch
        self.free_scratch.argtypes = (c_void_p,)
        self.scan_short, self.scan_long = keeping.hs_scan, yielding.hs_scan
        for scan in (self.scan_short, self.scan_long):
            scan.argtypes = (c_void_p, c_char_p, c_uint, c_uint, c_void_p, c_void_p, c_void_p)
        self.pool: list[tuple[int, int]] = []  # (the template's order when it was copied, the scratch)
        self._template = c_void_p()
        self._order = 0
        self._growing = threading.Lock()

    def admit(self, database: int) -> int:
        """Make the template large enough for a database; scratches of the returned order, or later, serve it."""
        with self._growing:
            status = self.alloc(database, byref(self._template))
            if status != 0:
                raise PatternError(f"no scratch memory (hs error {status})")
            self._order += 1  # whether the template grew can't be told: a larger one may stand at the same address
            return self._order

    def scratch(self) -> tuple[int, int]:
        """A new copy of the template."""
        with self._growing:
            fresh = c_void_p()
            status = self.clone(self._template, byref(fresh))
            if status != 0 or fresh.value is None:
                raise PatternError(f"no scratch memory (hs error {status})")
            return self._order, fresh.value


@cache
def _load() -> _Engine | str:
    """The engine, or why there is none."""
    try:
        engine = _Engine(LIBRARY)
    except (OSError, AttributeError) as error:
        return f"the pattern engine is missing ({error}): {_CURE}"
    if engine.platform() != 0:
        return "the pattern engine does not run on this processor (Hyperscan needs SSSE3)"
    return engine


def _engine() -> _Engine:
    engine = _load()
    if isinstance(engine, str):
        raise PatternError(engine)
    return engine


def available() -> str:
    """ "" where patterns can be used, otherwise why not, with the cure."""
    engine = _load()
    return engine if isinstance(engine, str) else ""


def version() -> str:
    """The engine's version; "" where there is none. Databases belong to the version that made them."""
    engine = _load()
    return "" if isinstance(engine, str) else engine.version


def encode(text: str) -> bytes:
    """`text` as the engine may see it: valid UTF-8, with U+FFFD for each lone surrogate."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return _SURROGATE.sub("\ufffd", text).encode()


def _as_hex(found: re.Match[str]) -> str:
    return f"\\x{ord(found[0]):02x}"


def _explained(message: str) -> str:
    low = message.lower()
    reason = next((text for word, text in _REASONS if word in low), "")
    said = f"the engine says: {message.rstrip('.')}"
    return f"{reason} ({said})" if reason else said


class Database:
    """Some patterns together, ready to say whether any of them matches. Threads may share one."""

    __slots__ = ("_engine", "_order", "_pointer")

    def __init__(self, engine: _Engine, pointer: int) -> None:
        """Takes over the C database at `pointer`."""
        self._engine = engine
        self._pointer = pointer
        self._order = engine.admit(pointer)

    def __del__(self) -> None:
        pointer = getattr(self, "_pointer", None)
        if pointer is not None:
            self._engine.free_database(pointer)

    @classmethod
    def compile(cls, expressions: Sequence[str], folded: bool) -> Database:
        """All of `expressions`; `folded`: they are for casefolded text and match as they stand. Raises PatternError."""
        engine = _engine()
        count = len(expressions)
        if folded:
            # Escaped literals, in which these characters never stand behind a backslash.
            expressions = [_UNWRITABLE.sub(_as_hex, one) for one in expressions]
        elif unwritable := next(filter(None, map(_UNWRITABLE.search, expressions)), None):
            raise PatternError(f"the pattern holds a control character; write {_as_hex(unwritable)}")
        sources = (c_char_p * count)(*[encode(one) for one in expressions])
        flag = _ALLOWEMPTY | _UTF8 | (0 if folded else _CASELESS)
        flags = (c_uint * count)(*[flag] * count)
        # Each has an id of its own: with one for all the engine merges their reports, in quadratic time.
        ids = (c_uint * count)(*range(count))
        pointer, error = c_void_p(), POINTER(_CompileError)()
        status = engine.compile(sources, flags, ids, count, _MODE_BLOCK, None, byref(pointer), byref(error))
        if status != 0 or pointer.value is None:
            message = error.contents.message.decode("utf-8", "replace") if error else f"hs error {status}"
            engine.free_error(error)
            raise PatternError(_explained(message))
        return cls(engine, pointer.value)

    @classmethod
    def deserialise(cls, data: bytes) -> Database:
        """A database from its bytes, which a checksum of the caller's vouches for: the engine's own covers only a part.

        Raises PatternError where they were made by another version of the library or for another kind of CPU.
        """
        engine = _engine()
        pointer = c_void_p()
        status = engine.deserialise(data, len(data), byref(pointer))
        if status != 0 or pointer.value is None:
            raise PatternError(f"a pattern database can't be read here (hs error {status})")
        return cls(engine, pointer.value)

    def serialise(self) -> bytes:
        """The database as bytes, for this version of the library and this kind of CPU. Raises PatternError."""
        data, length = c_void_p(), c_size_t()
        status = self._engine.serialise(self._pointer, byref(data), byref(length))
        if status != 0:
            raise PatternError(f"a pattern database can't be written (hs error {status})")
        try:
            return ctypes.string_at(data, length.value)
        finally:
            self._engine.free_memory(data)

    def scan(self, data: bytes) -> bool:
        """Does any of the patterns match? `data` is UTF-8 (`encode`). Raises PatternError, of a lack of memory only."""
        engine = self._engine
        try:
            scratch = engine.pool.pop()
        except IndexError:
            scratch = engine.scratch()
        if scratch[0] < self._order:
            engine.free_scratch(scratch[1])
            scratch = engine.scratch()
        scan = engine.scan_short if len(data) <= _SHORT else engine.scan_long
        status = scan(self._pointer, data, len(data), 0, scratch[1], engine.stop, None)
        engine.pool.append(scratch)
        if status == 0:
            return False
        if status != _TERMINATED:
            raise PatternError(f"the scan failed (hs error {status})")
        return True
