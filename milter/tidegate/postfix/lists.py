"""A milter list as Postfix reads it: endpoints, each perhaps in braces with settings of its own (postconf(5))."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

_BETWEEN = ", \t\r\n"  # CHARS_COMMA_SP in mail_params.h


class MalformedError(ValueError):
    """Braces that do not fit; smtpd ends over such a list without a banner."""


@dataclass(frozen=True, slots=True)
class Milter:
    """One milter of a list."""

    endpoint: str  # unix:path, inet:host:port
    attributes: Mapping[str, str] = field(default_factory=dict)


def parse_list(value: str) -> tuple[Milter, ...]:
    """The milters in order. Raises MalformedError."""
    return tuple(_milter(token) for token in tokens(value))


def tokens(value: str) -> list[str]:
    """The elements of a list, groups in braces whole. Raises MalformedError."""
    found: list[str] = []
    begin, depth = -1, 0
    for at, character in enumerate(value):
        if character == "{":
            depth += 1
        elif character == "}":
            depth -= 1
            if depth < 0:
                raise MalformedError(f"a closing brace too many in {value!r}")
        if character in _BETWEEN and not depth:
            if begin >= 0:
                found.append(value[begin:at])
            begin = -1
        elif begin < 0:
            begin = at
    if depth:
        raise MalformedError(f"a brace that is never closed in {value!r}")
    return found + ([value[begin:]] if begin >= 0 else [])


def _milter(token: str) -> Milter:
    if not token.startswith("{"):
        return Milter(token)
    if not token.endswith("}"):
        raise MalformedError(f"text behind a closing brace in {token!r}")
    parts = tokens(token[1:-1])
    if not parts:
        raise MalformedError("braces with no milter in them")
    attributes: dict[str, str] = {}
    for part in parts[1:]:
        name, equals, setting = part.strip("{} \t").partition("=")
        if not equals:
            raise MalformedError(f"{part!r} is no setting of a milter: write name=value, without blanks")
        attributes[name.strip()] = setting.strip()
    return Milter(parts[0], attributes)


def seconds(text: str) -> float | None:
    """A time of Postfix in seconds: `30s`, `5m`, `1h`, `300`; None where it isn't one."""
    unit = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}.get(text[-1:])
    digits = text[:-1] if unit else text
    return float(digits) * (unit or 1) if digits.isascii() and digits.isdigit() else None
