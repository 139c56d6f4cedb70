"""The registry of problem codes: what each means, and what cures it.

Codes are stable: alerts are keyed by them, and people search for them. `problem` is the one way in which this room
makes a Problem. READER_CODES are told by nodes.py and read.py, TRIAL_CODES by trial/, the others by the builder.
"""

from __future__ import annotations

from dataclasses import dataclass

from tidegate.model import EntryKey, Place, Problem, Severity


@dataclass(frozen=True, slots=True)
class CodeRow:
    """One code: what it means in a few words, what cures it, and how grave it is unless somebody says otherwise."""

    summary: str
    cure: str
    severity: Severity = Severity.ERROR


_WARNING, _NOTICE = Severity.WARNING, Severity.NOTICE

BUILDER_CODES: dict[str, CodeRow] = {
    # the form of an entry
    "unknown-key": CodeRow("a key that does not exist here", "correct its name, or remove it"),
    "missing-key": CodeRow("a key that has to be there is missing", "add it"),
    "wrong-type": CodeRow("a value of the wrong type", "write it in the form that is named"),
    "unquoted-text": CodeRow("YAML takes this for something else than text", "put it in quotes"),
    "empty-value": CodeRow("a value that has to hold something is empty", "fill it in, or remove the key"),
    "bad-value": CodeRow("a value that can't be used", "write one of the forms that are named"),
    "bad-number": CodeRow("a number that can't be used", "write a plain decimal number of the range that is named"),
    "bad-date": CodeRow("a date or time that can't be used", "write 2027-06-30, or 2027-06-30T18:00"),
    "bad-id": CodeRow(
        "an id that can't be used", "use letters, digits, `.`, `_` and `-`, at most 64, a letter or digit first"
    ),
    "duplicate-id": CodeRow("an id is used twice: neither entry counts", "rename or remove one of them"),
    "too-large": CodeRow("a condition that grew too large or too deep", "move long enumerations into a list"),
    "stale-too-long": CodeRow("an entry serves as it last was for longer than its `max_stale`", "repair or restore it"),
    "more-problems": CodeRow("an entry has more problems than are told", "repair those that are shown"),
    "not-yet": CodeRow("this version does not know it yet", "remove it until you run a version that knows it"),
    # conditions
    "empty-condition": CodeRow("a condition that asks nothing", "write `always`, or say what is asked"),
    "unknown-field": CodeRow("there is no such field", "see `tidegate fields`"),
    "unknown-operator": CodeRow("there is no such operator", "correct its name; a value alone means equals"),
    "hardly-equal": CodeRow(
        "a test that compares as written, and will hardly ever hold", "write {glob: …} for wildcards", _WARNING
    ),
    "operator-mismatch": CodeRow("the operator does not fit the field's type", "see `tidegate fields`"),
    "several-operators": CodeRow("a test has more than one operator", "write one test for each under `all:`"),
    "unknown-list": CodeRow("there is no such list", "add it under `lists:`, or correct the name"),
    "list-mismatch": CodeRow("the list's type does not fit the field", "ask another list, or change its type"),
    "unknown-condition": CodeRow("there is no such condition", "add it under `conditions:`, or correct the name"),
    "circular-use": CodeRow("conditions that use each other in a circle", "break the circle"),
    "broken-dependency": CodeRow("it uses a condition that is broken", "repair the condition that is named"),
    "bad-item": CodeRow("an item that does not fit its type", "correct it"),
    "bad-pattern": CodeRow("a pattern that the engine can't run", "write it without what is named, or simpler"),
    "no-pattern-engine": CodeRow("patterns can't be run on this machine", "apt install libhyperscan5 | libvectorscan5"),
    "recipient-field": CodeRow(
        "recipients are quantified, never implied", "write any_rcpt, all_rcpt or no_rcpt around the test"
    ),
    "not-of-recipient": CodeRow(
        "a test that is not about one recipient", "inside a quantifier ask address, domain, localpart or external"
    ),
    "not-at-rcpt": CodeRow(
        "a per_recipient rule asks what is not known at RCPT", "ask it in a rule without `per_recipient`"
    ),
    # rules
    "empty-do": CodeRow("a rule that does nothing", "name a disposition, an edit or an exempt"),
    "several-dispositions": CodeRow("a rule with more than one disposition", "keep one of them"),
    "bad-reply": CodeRow("a reply code that does not fit", 'write it as "550 5.7.1" (reject) or "451 4.7.1" (defer)'),
    "bad-text": CodeRow("a text that can't be made safe", "correct the text"),
    "bad-header-name": CodeRow("a header name that can't be used", "use printable ASCII without blanks and colon"),
    "bad-address": CodeRow("an address that can't be used", "write user@example.com"),
    "unconfirmed-discard": CodeRow("discarding loses mail and has to be confirmed", "write `discard: {confirm: true}`"),
    "per-recipient-action": CodeRow("a per_recipient rule can only reject or defer", "use reject or defer, no edits"),
    "nothing-matched": CodeRow(
        "an edit of the `matched` recipients without a recipient test", "add any_rcpt to `when`"
    ),
    "unknown-rule": CodeRow("an exempt names a rule or tag that does not exist", "correct the name"),
    "exempt-of-exempt": CodeRow("an exempt can't be exempted", "remove it from the names"),
    "exempt-all": CodeRow(
        "`exempt: all` needs an end within 24 hours and a ticket", "add `active: {until: …}` and `ticket: …`"
    ),
    "exempt-at-rcpt": CodeRow(
        "an exempt names a per_recipient rule, and asks what is not known at RCPT",
        "write the exception into that rule (`except:`), or ask only what is known at MAIL",
        _WARNING,
    ),
    "exempt-skip": CodeRow("a rule that exempts can't skip its doubts", "remove `on_error: skip`"),
    "defer-without-scope": CodeRow(
        "`on_invalid: defer`, but nothing says which mail it is about", "add `scope:`, or repair `when` or `do`"
    ),
    # limits
    "limit-key": CodeRow("a field that can't be the key of a limit", "count by login, sender.address, client.net, …"),
    "limit-exempt": CodeRow("a rule with limits that exempts others", "write the exempt as a rule of its own"),
    "limit-share": CodeRow(
        "a rule that refuses by a share of its limits", "leave the share out, and set a lower `max`"
    ),
    "no-limits": CodeRow("a rule speaks of limits and has none", "give it `limits:`, or remove what is named"),
    # lists
    "reserved-list": CodeRow("a list that has a meaning of its own has the wrong type", "write the type that is named"),
    "list-path": CodeRow("a list file outside the policy directory", "put it below the policy directory"),
    "list-file": CodeRow("a list file can't be read", "restore it, and make it readable for the daemon"),
    "bad-line": CodeRow("a line of a list file that can't be used; it is skipped", "correct the line", _WARNING),
    "too-many-bad-lines": CodeRow("more than a tenth of a list file can't be used", "restore or correct the file"),
    "list-empty": CodeRow(
        "a list file that held items is empty; it stays as it was",
        "restore the file; if nobody is meant to be on it, `tidegate confirm`, or write a comment line into it",
    ),
    "list-shrunk": CodeRow(
        "more than half of a list file is gone at once; it stays as it was",
        "restore the file; if it is meant so, `tidegate confirm`",
    ),
    "duplicate-key-line": CodeRow("a key stands twice in a map; the first counts", "merge the two", _WARNING),
    "not-live": CodeRow(
        "an action writes to a list whose items are in the policy", "give the list `redis: NAME`, or choose a live one"
    ),
    "no-redis": CodeRow(
        "a list is kept in Redis, and no Redis is configured",
        "set `redis:` in the settings, or give the list `items` or a `file`",
    ),
    "list-unavailable": CodeRow("rules ask a list that can't be asked", "repair the list", _WARNING),
    "no-login-map": CodeRow(
        "a rule asks whether the sender is aligned, and there is no map `logins`", "add the list `logins`", _WARNING
    ),
    # time
    "ends-soon": CodeRow("something ends within 7 days", "extend it, or let it end", _WARNING),
    "lapsed": CodeRow("something has ended", "remove it, or extend it", _NOTICE),
}

READER_CODES: dict[str, CodeRow] = {
    "unreadable-file": CodeRow("a policy file can't be read", "make it a regular file that the daemon may read"),
    "empty-file": CodeRow("a policy file with nothing in it", "restore it; to remove its rules, delete the file"),
    "not-utf8": CodeRow("a byte that is not UTF-8", "save the file as UTF-8"),
    "control-character": CodeRow("a control character", "remove it"),
    "yaml-syntax": CodeRow(
        "YAML can't be read here",
        "correct the line; a value that holds one of [ ] { } , : # & * ! | > % @ ` needs quotes",
    ),
    "duplicate-key": CodeRow("a key stands twice", "remove one of them"),
    "anchor-or-alias": CodeRow("anchors and aliases are not allowed", "write it out, or quote the text"),
    "tag": CodeRow("tags are not allowed", "remove the tag, or quote the text"),
    "too-deep": CodeRow("nested too deep", "name parts of it under `conditions:`"),
    "too-long": CodeRow("too long", "move long lists into a file"),
    "too-many-entries": CodeRow("too many entries in one file", "use several files"),
    "no-version": CodeRow("a policy file without its version", "write `version: 1` on top"),
    "unknown-version": CodeRow("a file of another version", "write `version: 1`"),
    "unknown-section": CodeRow("a section that does not exist", "write lists, conditions or rules", _WARNING),
    "wrong-section-type": CodeRow("a section of the wrong form", "write it in the form that is named"),
    "no-end-mark": CodeRow("a file without its end mark", "end the file with a line `...`", _NOTICE),
    "after-end-mark": CodeRow("something stands behind the end mark", "remove it, or the mark before it"),
    "no-id": CodeRow("an entry without a readable id", "give it an `id:`"),
}

TRIAL_CODES: dict[str, CodeRow] = {
    "example-failed": CodeRow("an example of a rule does not come out", "correct the rule, or the example"),
}
"""What no load can tell, only a trial of what was loaded."""

CODES: dict[str, CodeRow] = {**READER_CODES, **BUILDER_CODES}


def problem(
    code: str,
    message: str,
    place: Place,
    *,
    severity: Severity | None = None,
    entry: EntryKey | None = None,
    cure: str = "",
    excerpt: str = "",
) -> Problem:
    """A problem with the registry's severity and cure unless given. Raises KeyError for a code that isn't there."""
    row = TRIAL_CODES[code] if code in TRIAL_CODES else CODES[code]
    grade = row.severity if severity is None else severity
    return Problem(code, message, place, grade, entry, cure or row.cure, excerpt)
