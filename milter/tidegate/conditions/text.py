"""How texts are compared: case is ignored, nothing else is.

Build time and run time fold with the same function, so an index key and a header value can't disagree.
"""

from __future__ import annotations


def fold(text: str) -> str:
    """`text` without case (Unicode casefold; plain lower case where it is ASCII)."""
    return text.lower() if text.isascii() else text.casefold()
