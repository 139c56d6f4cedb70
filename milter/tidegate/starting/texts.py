"""The files of a first policy, as text: commented for the person who edits them next, each rule in shadow.

What is written here is the policy language for people, so it is laid out by hand and not by a YAML writer; only what
an answer holds goes in, and that was normalised (answers.py) or is quoted (lists of logins are no YAML at all).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from tidegate.starting.answers import Answers

_SITE = """\
# Who we are. Three lists have a meaning of their own; every other list is what your rules make of it.
version: 1
lists:
  # Domains whose mail is ours. A recipient outside them is `external`; a message to nobody else is `internal`.
  # `example.com` is itself, `.example.com` is everything below it.
  own-domains: {{type: domain, items: [{own}]}}
{networks}{logins}
  # Logins and clients that send to many, and are meant to: newsletters, mailing lists, ticket systems.
  # The files hold one to a line; `tidegate check` names a line that can't be read.
  bulk-senders: {{type: login, file: lists/bulk-senders}}
  list-hosts: {{type: ip, file: lists/list-hosts}}

  # Accounts that may not send until somebody says so again.
  suspended: {{type: login, file: lists/suspended}}
...
"""
_NETWORKS = """
  # Clients that may send without a login (printers, application servers). Their mail is `outbound`.
  relay-networks: {{type: ip, items: [{networks}]}}
"""
_LOGINS = """
  # What each login may write into MAIL FROM and From: one login to a line, then its addresses; `@example.com` is a
  # whole domain.
  logins: {type: map, file: lists/logins}
"""
_ACCOUNTS = """\
# Accounts: who may not send at all, and who may not send as whom. `mode: shadow` judges and logs, and does nothing:
# `tidegate shadow-report` says what each rule would have done. Take the line away when you believe it.
version: 1
rules:
  - id: suspended-account
    description: Accounts that somebody suspended
    priority: 10
    mode: shadow
    when: {{login: {{in: suspended}}}}
    do: {{reject: {{code: "550 5.7.1", text: "Sending is blocked for this account, call the helpdesk ({{ref}})"}}}}
    on_invalid: defer
    scope: {{directions: [outbound, internal]}}
    examples:
      match: [{{login: mallory, sender: {address}, rcpt: [a@example.net], lists: {{suspended: [mallory]}}}}]
      no_match: [{{login: alice, sender: {address}, rcpt: [a@example.net], lists: {{suspended: [mallory]}}}}]
{alignment}...
"""
_FOREIGN = """\

  # Which addresses a login may use is not known here. With a list `logins` (docs: policy, Aligned) write
  # `any: [{{sender.aligned: false}}, {{header.from.aligned: false}}]` instead.
  - id: foreign-sender
    description: A login that sends with an address of somebody else's domain
    mode: shadow
    when:
      login: {{exists: true}}
      sender.null: false
      not: {{sender.domain: {{in: own-domains}}}}
    do: {{reject: {{code: "553 5.7.1", text: "You may not send as {{sender.address}} ({{ref}})"}}}}
    examples:
      match: [{{login: alice, sender: a@elsewhere.example, rcpt: [a@example.net]}}]
      no_match: [{{login: alice, sender: {address}, rcpt: [a@example.net]}}]
"""
_SPOOFED = """\

  - id: spoofed-from
    description: A login may only use the addresses that the list `logins` gives it
    mode: shadow
    when:
      login: {{exists: true}}
      any: [{{sender.aligned: false}}, {{header.from.aligned: false}}]
    do: {{reject: {{code: "553 5.7.1", text: "You may not send as {{sender.address}} ({{ref}})"}}}}
    examples:
      match:
        - {{login: alice, sender: b@elsewhere.example, lists: {{logins: {{alice: [{address}]}}}}}}
      no_match:
        - login: alice
          sender: {address}
          rcpt: [a@example.net]
          headers: {{From: {address}}}
          lists: {{logins: {{alice: [{address}]}}}}
"""
_LIMITS = """\
# How much one account may send. A stolen one sends until somebody stops it; this stops it within the hour.
# A deferral is not a bounce: whoever is over the limit goes on when the hour is over.
version: 1
rules:
  - id: rate-per-login
    description: Recipients of one login
    mode: shadow
    when: {{login: {{exists: true}}}}
    except:
      - {{name: bulk, when: {{login: {{in: bulk-senders}}}}}}
      - {{name: list-hosts, when: {{client.ip: {{in: list-hosts}}}}}}
    limits:
      - {{name: hour, by: login, count: recipients, max: {per_hour}, per: 1h}}
      - {{name: day, by: login, count: recipients, max: {per_day}, per: 1d}}
    do:
      defer: {{code: "451 4.7.1", text: "{{limit.used}} of {{limit.max}} recipients used, again in {{limit.retry}}"}}
...
"""
_LEAKS = """\
# Mistakes that can't be taken back: recipients in plain sight.
version: 1
rules:
  - id: visible-recipients
    description: More than {visible} outside addresses in To and Cc; somebody forgot Bcc
    mode: shadow
    when: {{disclosed.external_count: {{gt: {visible}}}}}
    except:
      - {{name: bulk, when: {{login: {{in: bulk-senders}}}}}}
      - {{name: list-hosts, when: {{client.ip: {{in: list-hosts}}}}}}
    do: {{reject: {{code: "550 5.7.1", text: "Too many visible recipients, use Bcc or a list ({{ref}})"}}}}
...
"""
_FILES = {
    "lists/bulk-senders": "# Logins that may send to many, one to a line.\n",
    "lists/list-hosts": "# Addresses or networks of mailing-list and ticket hosts, one to a line.\n",
    "lists/suspended": "# Logins that may not send, one to a line.\n",
}


def files_of(answers: Answers) -> Mapping[str, str]:
    """File name below the policy directory: its text."""
    own = answers.own_domains
    plain = next((one for one in own if not one.startswith(".")), f"mail{own[0]}" if own else "example.com")
    address = _quoted([f"someone@{plain}"])
    networks = _NETWORKS.format(networks=_quoted(answers.relay_networks)) if answers.relay_networks else ""
    alignment = _SPOOFED if answers.grants else _FOREIGN
    files = {
        "10-site.yaml": _SITE.format(own=_quoted(own), networks=networks, logins=_LOGINS if answers.grants else ""),
        "20-accounts.yaml": _ACCOUNTS.format(address=address, alignment=alignment.format(address=address)),
        "30-limits.yaml": _LIMITS.format(per_hour=answers.per_hour, per_day=answers.per_day),
        "40-leaks.yaml": _LEAKS.format(visible=answers.visible),
        **_FILES,
    }
    if answers.grants:
        files["lists/logins"] = "# A login, then the addresses and domains that it may use.\n" + "".join(
            f"{login} {', '.join(addresses)}\n" for login, addresses in answers.grants
        )
    return files


def _quoted(texts: Iterable[str]) -> str:
    """In a YAML flow sequence; a JSON text is a YAML text."""
    return ", ".join(json.dumps(one) for one in texts)
