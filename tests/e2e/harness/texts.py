"""Policy texts that several end-to-end tests stand on."""

from __future__ import annotations

HEAD = "version: 1\n"
END = "...\n"

SITE = """\
version: 1
lists:
  own-domains: {type: domain, items: [example.com, .example.com]}
  suspended: {type: login, items: [mallory@example.com]}
rules:
  - id: suspended-account
    owner: postmaster
    when: {login: {in: suspended}}
    do: {reject: {code: "550 5.7.1", text: "Blocked, call the helpdesk ({ref})"}}
...
"""


def a_rule(name: str, when: str, do: str, **keys: str) -> str:
    """One item of `rules:`; `on_invalid="defer"` adds that key."""
    more = "".join(f"    {key}: {value}\n" for key, value in keys.items())
    return f"  - id: {name}\n    when: {when}\n    do: {do}\n{more}"


def rules(*items: str) -> str:
    """A whole file of these rules."""
    return HEAD + "rules:\n" + "".join(items) + END


def on_subject(word: str, do: str, **keys: str) -> str:
    """A rule called `word` for messages whose subject begins with `word`."""
    return a_rule(word, f"{{subject: {{prefix: {word}}}}}", do, **keys)


def refuse(text: str = "No") -> str:
    """A reject action."""
    return f'{{reject: {{code: "550 5.7.1", text: "{text} ({{ref}})"}}}}'


def defer(text: str = "Later") -> str:
    """A defer action."""
    return f'{{defer: {{code: "451 4.7.1", text: "{text} ({{ref}})"}}}}'
