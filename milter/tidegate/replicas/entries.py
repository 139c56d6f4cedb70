"""What may stand on a live list: a text to the entry's key, or what is wrong with it, by the form of the list.

The commands ask before they write, the keeper asks again of all that it reads: whoever writes with redis-cli is held
to the same rules.
"""

from __future__ import annotations

from collections.abc import Sequence

from tidegate.conditions.members import normalise, own_keys
from tidegate.image.replica import kind_of
from tidegate.model import Conventions, ListItem, ListKind
from tidegate.policy.lists import map_key, map_value

FORMS = (*(one.value for one in ListKind if one is not ListKind.REGEX), "logins")
"""How the entries of a live list can be written."""


class EntryReader:
    """Checks the entries of lists of one form. Raises ValueError for a form that there is not."""

    def __init__(self, form: str, conventions: Conventions) -> None:
        if form not in FORMS:
            raise ValueError(f"there is no form {form!r} of lists in Redis")
        self.form = form
        self.kind = kind_of(form)
        self._conventions = conventions
        self.own = own_keys(self.kind, conventions)
        self._name = form if form == "logins" else ""

    def key(self, text: str) -> tuple[str, str]:
        """The key under which the entry is looked up, and what is wrong with it."""
        if self.own is not None and self.own.match(text):
            return text, ""
        if not text.isprintable():
            return "", f"{text[:80]!r} holds what can't be printed"
        if self.kind is ListKind.MAP:
            return map_key(self._name, text, self._conventions)
        member = normalise(self.kind, text, self._conventions)
        return ("", member) if isinstance(member, str) else (member.key, "")

    def value(self, text: str) -> tuple[str, str]:
        """One value of a map, and what is wrong with it."""
        return map_value(self._name, text, self._conventions)

    def values(self, texts: Sequence[str]) -> tuple[tuple[str, ...], str]:
        """The values of an entry of a map, and what is wrong with them."""
        if self.kind is not ListKind.MAP:
            return (), "only a map has values" if texts else ""
        found: dict[str, None] = {}
        for text in texts:
            value, why = self.value(text)
            if why:
                return (), why
            found[value] = None
        return tuple(found), ""

    def item(self, text: str, until: float | None, values: Sequence[str]) -> ListItem | str:
        """The entry as it is looked up, or what is wrong with it."""
        key, why = self.key(text)
        if why:
            return why
        found, why = self.values(values) if values or self.kind is ListKind.MAP else ((), "")
        return why or ListItem(key, found, until)
