"""rspamd's ratelimit module (local.d/ratelimit.conf), as limits.

rspamd's bucket lets `burst` through at once and goes on at `rate`; a limit of ours lets `max` through in any span of
`per`. They meet where `max` is the burst and `per` the time in which an empty bucket fills: from a quiet start both let
the burst through; after that rspamd lets through up to twice as much in a span. Each rule says so.
Refuses keys that have several values in a message, and settings in files that are not here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tidegate.importing.spans import span
from tidegate.importing.ucl import Section, Text, Ucl, UclError, parse
from tidegate.importing.words import Imported, NewException, NewList, NewRule, Untranslated, Value

_MOST = 1e15  # what a limit can count, policy/limits.py
_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_RATE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*(?:/\s*([0-9]+(?:\.[0-9]+)?)?(\s*)([a-z]*))?\s*", re.IGNORECASE)
_FIELDS = {
    "user": "login",
    "ip": "client.ip",
    "from": "sender.address",
}
_SELECTORS = {
    "user": "login",
    "user.lower": "login",
    "ip": "client.ip",
    "from": "sender.address",
    "from.addr": "sender.address",
    "from.addr.lower": "sender.address",
    "from:addr": "sender.address",
    "from:addr.lower": "sender.address",
    "from:domain": "sender.domain",
    "from:domain.lower": "sender.domain",
    "smtp_from": "sender.address",
}
_WHITELISTS = {"whitelisted_user": ("login", "login"), "whitelisted_ip": ("client.ip", "ip")}
_SHOWN = ("rates", *_WHITELISTS)
_TUNING = re.compile(
    r"(?:info_)?symbol|whitelisted_rcpts|max_rcpt|max_delay|expire|prefix|prefilter|dynamic_rate_limit|allow_local|enabled"
    r"|(?:ham|spam)_factor_(?:rate|burst)|max_(?:rate|bucket)_mult|(?:read_|write_)?servers|db"
)


@dataclass(frozen=True, slots=True)
class _Bucket:
    burst: float
    rate: float  # a second
    messages: bool  # each message counts one, not its recipients
    reply: str
    only_symbol: bool
    line: int
    odd: str = ""  # what rspamd makes of the unit


def imported(text: str) -> Imported:
    """The rules of one file."""
    try:
        root = parse(text)
    except UclError as error:
        line = re.match(r"line ([0-9]+)", str(error))
        return Imported(untranslated=(Untranslated(int(line[1]) if line else 0, "the file", str(error)),))
    inner = [one for one in root.all("ratelimit") if isinstance(one, Section)]
    section = inner[0] if inner else root
    wrong: list[Untranslated] = []
    exceptions, lists = _whitelists(section, wrong)
    rates = [one for one in section.all("rates") if isinstance(one, Section)]
    rules = [rule for one in rates for rule in _rules(one, exceptions, wrong)]
    wrong += [
        Untranslated(_line(value), name, "this setting is not known here")
        for name, value in section.pairs
        if name not in _SHOWN and not _TUNING.fullmatch(name) and name != "ratelimit"
    ]
    remarks = [
        "rspamd lets mail through while its Redis is down; these limits go on with a local count (on_store_down).",
        "rspamd skips all limits where any recipient is postmaster@ or mailer-daemon@ of any domain; here they count.",
    ]
    if not rules and not wrong:
        wrong.append(Untranslated(section.line, "rates", "there are no rates in it"))
    return Imported(tuple(rules), tuple(lists), tuple(remarks), tuple(wrong))


def _whitelists(section: Section, wrong: list[Untranslated]) -> tuple[tuple[NewException, ...], list[NewList]]:
    exceptions, lists = [], []
    for name, (field, kind) in _WHITELISTS.items():
        found = section.all(name)
        texts = [
            part.strip() for one in found if isinstance(one, Text) for part in one.value.split(",") if part.strip()
        ]
        files = [one for one in texts if "/" in one and not re.fullmatch(r"[0-9a-fA-F.:]+/[0-9]+", one)]
        if files:
            why = "it is a map in a file: put its lines into a list of ours, and name it in an exception"
            wrong.append(Untranslated(_line(found[0]), f"{name} = {files[0]}", why))
        elif texts:
            title = name.replace("_", "-")
            lists.append(NewList(title, kind, tuple(texts)))
            exceptions.append(NewException(title, {field: {"in": title}}))
    return tuple(exceptions), lists


def _rules(rates: Section, exceptions: tuple[NewException, ...], wrong: list[Untranslated]) -> Iterator[NewRule]:
    for name, value in rates.pairs:
        try:
            fields = _key(name, value)
            buckets = _buckets(value)
        except UclError as error:
            wrong.append(Untranslated(_line(value), name, str(error)))
            continue
        yield _rule(name, fields, buckets, exceptions)


def _key(name: str, value: Ucl) -> list[str]:
    """The fields by which it counts. Raises UclError."""
    selector = value.text("selector") if isinstance(value, Section) else ""
    if selector:
        plain = re.sub(r"\s+|['\"]smtp['\"]|\(\)", "", selector).replace("(:", ":").replace("()", "")
        plain = re.sub(r"\(.*?\)", "", plain)
        if plain not in _SELECTORS:
            raise UclError(f"the selector {selector} has no field of ours that has one value in a message")
        fields = [_SELECTORS[plain]]
    else:
        words = name.split("_")
        unknown = [one for one in words if one not in _FIELDS]
        if "bounce" in words:
            raise UclError("a bounce without a login is never counted here")
        if unknown:
            raise UclError(f"the keyword {unknown[0]} has no field of ours that has one value in a message")
        fields = [_FIELDS[one] for one in words if one in _FIELDS]
    if not fields:
        raise UclError("it counts by nothing that a message has")
    return fields


def _buckets(value: Ucl) -> list[_Bucket]:
    """Raises UclError."""
    found = value.all("bucket") if isinstance(value, Section) else []
    return [_bucket(one) for one in found or [value]]


def _bucket(value: Ucl) -> _Bucket:
    if isinstance(value, Text):  # `user = "10 / 1h"`: the rate is the burst too
        amount, seconds, odd = _rate(value.value)
        return _Bucket(amount, amount / seconds, False, "", False, value.line, odd)
    if not isinstance(value, Section):
        raise UclError("the old form [burst, rate] is not read: write bucket = { burst = …; rate = …; }")
    try:
        burst = float(value.text("burst"))
    except ValueError:
        raise UclError(f"burst = {value.text('burst') or 'nothing'} is no number") from None
    amount, seconds, odd = _rate(value.text("rate"))
    symbol = value.text("skip_soft_reject").lower() in ("true", "yes", "on", "1")
    messages = value.text("skip_recipients").lower() in ("true", "yes", "on", "1")
    if not 1 <= burst <= _MOST:
        raise UclError(f"burst = {value.text('burst')} is not from 1 to {_MOST:g}")
    return _Bucket(burst, amount / seconds, messages, value.text("message"), symbol, value.line, odd)


def _rate(text: str) -> tuple[float, float, str]:
    """(how many, in so many seconds, what rspamd makes of the unit where that is another thing). Raises UclError."""
    found = _RATE.fullmatch(text)
    if found is None or (found[4] and _unit(found[4]) is None):
        raise UclError(f"the rate {text!r} is no `10 / 1h`")
    unit = _unit(found[4] or "") or 1.0
    seconds = float(found[2] or 1) * unit
    odd = ""
    if found[4] and (found[3] or found[4] not in _UNITS):
        odd = f"rspamd finds no unit in {text!r} (a blank, a capital, a longer word) and counts in seconds or minutes"
    amount = float(found[1])
    if not (0 < amount <= _MOST and 0 < seconds <= _MOST):
        raise UclError(f"the rate {text[:40]!r} is nothing, or more than can be counted")
    return amount, seconds, odd


def _unit(word: str) -> float | None:
    short = word.lower()
    for name in ("min", "s", "m", "h", "d", "w"):
        if short == name or (len(short) > 2 and short.startswith(name) and short.rstrip("s") in _LONG[name]):
            return _UNITS[name]
    return None


_LONG = {
    "min": ("min", "minute"),
    "s": ("sec", "second"),
    "m": ("minute",),
    "h": ("hour",),
    "d": ("day",),
    "w": ("week",),
}


def _rule(name: str, fields: list[str], buckets: list[_Bucket], exceptions: tuple[NewException, ...]) -> NewRule:
    limits: list[Value] = []
    for number, one in enumerate(buckets, 1):
        limits.append(
            {
                "name": "limit" if len(buckets) == 1 else f"limit-{number}",
                "by": fields[0] if len(fields) == 1 else fields,
                "count": "messages" if one.messages else "recipients",
                "max": round(one.burst),
                "per": span(one.burst / one.rate),
            }
        )
    comments = [
        "rspamd lets the burst through at once and goes on at the rate: up to twice `max` in a span of `per`. Here no "
        "span of `per` has more than `max`.",
        *(one.odd for one in buckets if one.odd),
    ]
    reply = next((one.reply for one in buckets if one.reply), f'Ratelimit "{name}" exceeded, again in {{limit.retry}}')
    return NewRule(
        f"ratelimit-{name.replace('_', '-')}",
        {"login": {"exists": True}} if "login" in fields else "always",
        {"defer": {"code": "451 4.7.1", "text": reply}},
        exceptions=exceptions,
        limits=tuple(limits),
        shadow=all(one.only_symbol for one in buckets),
        comments=tuple(dict.fromkeys(comments)),
        logged_in="login" in fields,
    )


def _line(value: Ucl) -> int:
    return value.line if isinstance(value, Text | Section) else _line(value[0]) if value else 0
