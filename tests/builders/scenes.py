"""What tests/builders/siege.py besieges: two victims, what stands beside them, and what each message gets under them.

Rules and named conditions in the one; in the other the lists that rules of another file ask.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Probe:
    """One message and what it gets under the sound policies: `550 alpha`, `continue`, `hold`, `continue+addheader`."""

    name: str
    expected: str
    subject: str = "hello"
    login: str = "alice"
    sender: str = "alice@example.com"
    to: str = "bob@example.net"
    header: tuple[str, str] = ("X-None", "x")
    may_wait: bool = False  # what a broken edit allowed, or may have allowed, is in doubt
    steady: bool = False  # its rule stands in another file, and asks nothing of the victim


@dataclass(frozen=True, slots=True)
class Scene:
    """A victim, the file beside it, and the messages."""

    victim: str
    steady: str
    probes: tuple[Probe, ...]


_STEADY = """\
version: 1
lists:
  relay-networks: {type: ip, items: [10.20.0.0/16]}
  own-domains: {type: domain, items: [example.com, .example.com]}
rules:
  - id: steady
    when: {subject: {prefix: steady}}
    do: {reject: {code: "550 5.7.1", text: "{rule} says no ({ref})"}}
...
"""
_VICTIM = """\
# A bit of everything.
version: 1
lists:
  suspended: {type: login, items: [mallory, "eve@example.com"]}
  partners:
    type: domain
    items:
      - partner.example.net   # one
      - .partner.example.net
conditions:
  leaves-us: {any_rcpt: {external: true}}
  secret: {subject: {contains: [secret, confidential]}}
rules:
  - id: alpha
    description: a plain one
    priority: 20
    when: {subject: {prefix: alpha}}
    do: {reject: {code: "550 5.7.1", text: "{rule} says no ({ref})"}}
  - id: beta
    description: |
      Quotes another rule, which must never be in force:
        - id: quoted
          when: always
          do: {reject: {code: "554 5.7.1", text: "{rule} says no"}}
    tags: [account]
    when:
      all:
        - login: {in: suspended}
        - use: leaves-us
    do:
      reject: {code: "550 5.7.1", text: "{rule} says no ({ref})"}
    examples:
      match: [{login: mallory, rcpt: [a@example.net]}]
  - {id: gamma, when: {subject: {matches: 'gam{1,3}a\\b'}}, do: {hold: {reason: "look"}}}
  - id: delta
    when: {use: secret, not: {any_rcpt: {domain: {in: partners}}}}
    do: {reject: {code: "553 5.7.1", text: "{rule} says no ({ref})"}}
    on_invalid: defer
    scope: {directions: [outbound]}
  - id: epsilon
    when: {localpart: nobody}
    per_recipient: true
    do: {reject: {code: "550 5.1.1", text: "{rule} says no ({ref})"}}
  - id: zeta
    when: {sender.address: chief@example.com}
    do: {exempt: [alpha]}
  - id: eta
    when: {header.x-late: {exists: true}}
    do: {defer: {code: "451 4.7.1", text: "{rule} says later ({ref})"}}
  - id: theta
    when: {header.x-label: {glob: "a*z"}}
    do: {add_header: {X-Labelled: "by {rule}"}, prefix_subject: "[label] "}
  - id: iota
    mode: shadow
    when: always
    do: {reject: {code: "550 5.7.1", text: "{rule} says no ({ref})"}}
...
"""


_PROBES = (
    Probe("nothing to say", "continue"),
    Probe("steady", "550 steady", subject="steady", steady=True),
    Probe("alpha", "550 alpha", subject="alpha", may_wait=True),  # `zeta` may exempt it
    Probe("beta", "550 beta", login="mallory"),
    Probe("beta within", "continue", login="mallory", to="carol@example.com", may_wait=True),
    Probe("gamma", "hold", subject="a gamma ray"),
    Probe("delta", "553 delta", subject="our secret", may_wait=True),
    Probe("delta to a partner", "continue", subject="our secret", to="x@a.partner.example.net", may_wait=True),
    Probe("epsilon", "550 epsilon", to="nobody@example.net"),
    Probe("zeta", "continue", subject="alpha", sender="chief@example.com", may_wait=True),
    Probe("eta", "451 eta", header=("X-Late", "x")),
    Probe("theta", "continue+addheader+chgheader", header=("X-Label", "abz")),
)

RULES = Scene(_VICTIM, _STEADY, _PROBES)

_ASKING = """\
version: 1
rules:
  - id: steady
    when: {subject: {prefix: steady}}
    do: {reject: {code: "550 5.7.1", text: "{rule} says no ({ref})"}}
  - id: spoof
    when: {login: {exists: true}, sender.aligned: false}
    do: {reject: {code: "553 5.7.1", text: "{rule} says no ({ref})"}}
  - id: outside
    when: {any_rcpt: {external: true}, subject: {prefix: internal}}
    do: {reject: {code: "550 5.7.1", text: "{rule} says no ({ref})"}}
  - id: blocked
    when: {any_rcpt: {domain: {in: blocked}}}
    do: {reject: {code: "550 5.7.1", text: "{rule} says no ({ref})"}}
  - id: unfriendly
    when: {subject: {prefix: friends}, not: {any_rcpt: {domain: {in: friends}}}}
    do: {reject: {code: "550 5.7.1", text: "{rule} says no ({ref})"}}
  - id: bad-words
    when: {subject: {in: words}}
    do: {reject: {code: "550 5.7.1", text: "{rule} says no ({ref})"}}
...
"""
_LISTS = """\
version: 1
lists:
  relay-networks: {type: ip, items: [10.20.0.0/16, 192.0.2.0/24]}
  own-domains: {type: domain, items: [example.com, .example.com]}
  logins:
    type: map
    items:
      alice@example.com: [alice@example.com, "@sales.example.com"]
      bob@example.com: bob@example.com
  blocked:
    type: domain
    items:
      - evil.example
      - .evil.example
      - "*.bad?.example"
  friends: {type: domain, items: [friend.example, .friend.example]}
  words:
    type: regex
    items: ['\\bsecret\\b', '^top.{1,3}word']
conditions: {}
rules: []
...
"""
_ASKED = (
    Probe("nothing", "continue", may_wait=True),
    Probe("steady", "550 steady", subject="steady", steady=True),
    Probe("spoof", "553 spoof", sender="eve@example.com", may_wait=True),
    Probe("spoof2", "continue", sender="x@sales.example.com", may_wait=True),
    Probe("bob", "553 spoof", sender="alice@example.com", login="bob", may_wait=True),
    Probe("outside", "550 outside", subject="internal", may_wait=True),
    Probe("inside", "continue", subject="internal", to="x@a.example.com", may_wait=True),
    Probe("blocked", "550 blocked", to="x@evil.example"),
    Probe("blocked2", "550 blocked", to="x@a.evil.example"),
    Probe("blocked3", "550 blocked", to="x@a.badx.example"),
    Probe("friend", "continue", subject="friends", to="x@a.friend.example", may_wait=True),
    Probe("nofriend", "550 unfriendly", subject="friends", may_wait=True),
    Probe("word", "550 bad-words", subject="a secret thing"),
    Probe("word2", "550 bad-words", subject="top a word"),
)
LISTS = Scene(_LISTS, _ASKING, _ASKED)
