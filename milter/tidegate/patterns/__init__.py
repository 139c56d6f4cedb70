"""Regular expressions in linear time, on Hyperscan or Vectorscan.

engine  the binding: databases, scans, scratch memory
cost    patterns that would take the engine too long to compile, told by their text
bounded compiling in a child that ends in time
budget  what all patterns of one policy may take to compile

How patterns read: PCRE without back-references, look-around, atomic groups and possessive quantifiers. Case is ignored,
for all of Unicode, unless the pattern begins with `(?-i)`. `.` is any character but a line break, `^` and `$` are the
ends of the text. `\\w \\d \\s \\b` and `[[:alpha:]]` mean ASCII, `\\p{L}` all letters: the engine has no `\\b` among
Unicode letters, and takes a hundred times as long for a Unicode `\\w`.

Refuses: a pattern that the engine can't run, with the reason (`check`). Without the library `available` says what to
install, and nothing else of the daemon needs it.
"""

from __future__ import annotations

from tidegate.patterns.bounded import Compiled, compile_within
from tidegate.patterns.budget import Budget, check, compiled, made, remember
from tidegate.patterns.engine import MAX_PATTERN, Database, PatternError, available, encode, version

__all__ = [
    "MAX_PATTERN", "Budget", "Compiled", "Database", "PatternError", "available", "check", "compile_within", "compiled",
    "encode", "made", "remember", "version",
]  # fmt: skip
