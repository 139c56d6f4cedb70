"""Makes the policy directories that `make bench` measures: N rules of the kinds that sites really write.

A third of the rules reach their test through `any`, `in: list` or `.domain`; 20 are regular expressions on the subject,
as many literals as there are; about one message in a hundred matches a rule. `write` is deterministic.
It refuses to be clever: the file is what an admin could have written by hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

REGEXES = 20
LIST_ENTRIES = 100_000


def _conditions(number: int) -> str:
    """The `when` of rule `number`, in YAML's flow style."""
    kinds = (
        f"{{login: blocked{number}@corp.bench.example}}",
        f"{{sender.address: former{number}@corp{number % 50}.bench.example}}",
        f"{{sender.domain: left{number}.bench.example}}",
        f"{{any: [{{login: a{number}@b.example}}, {{header.from.address: c{number}@d.example}}]}}",
        f"{{login: {{in: logins-{number % 40}}}, rcpt.count: {{gt: {number}}}}}",
        f"{{sender.domain: .zone{number}.bench.example}}",
        f"{{any_rcpt: {{domain: trap{number}.example.org}}}}",
        f"{{header.x-project: project-{number}}}",
        f"{{subject: {{contains: codeword{number}}}}}",
        f"{{header.from.domain: brand{number}.example}}",
        f"{{client.ip: 198.51.{number // 250 % 250}.{number % 250}}}",
        f"{{any: [{{sender.domain: .partner{number}.example}}, {{any_rcpt: {{address: x{number}@y.example}}}}]}}",
    )
    return kinds[number % len(kinds)]


def _rules(count: int) -> Iterator[str]:
    for number in range(max(0, count - REGEXES - 2)):
        action = (
            '{reject: {code: "550 5.7.1", text: "Not allowed ({ref})"}}',
            '{defer: {code: "451 4.7.1", text: "Later ({ref})"}}',
            "{add_header: {X-Bench: seen}}",
        )[number % 3]
        yield (
            f"  - id: bench-{number}\n    description: Rule {number}\n"
            f"    when: {_conditions(number)}\n    do: {action}\n"
        )
    for number in range(min(REGEXES, max(0, count - 2))):
        yield (
            f"  - id: pattern-{number}\n    description: Pattern {number}\n"
            f"    when: {{subject: {{matches: '\\b(invoice|order){number}[0-9]+-[a-z]{{2,5}}\\b'}}}}\n"
            "    do: {hold: {reason: Looks like a leak}}\n"
        )
    yield (
        "  - id: one-in-a-hundred\n    description: About one message in a hundred is tagged\n"
        "    when: {any_rcpt: {domain: [dest7.example.net, dest9.example.net]}}\n"
        "    do: {add_header: {X-Bench-Match: yes-it-did}}\n"
    )
    yield (
        "  - id: big-list\n    description: A long inline list\n    when: {sender.address: {in: long-list}}\n"
        '    do: {reject: {code: "550 5.7.1", text: "Listed ({ref})"}}\n'
    )


def write(directory: Path, count: int, entries: int = 0) -> None:
    """Write `count` rules (at least 10) and a list of `entries` addresses into `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    parts = ["version: 1\nlists:\n  own-domains: {type: domain, items: [bench.example, .bench.example]}\n"]
    parts += [
        f"  logins-{n}: {{type: login, items: [{', '.join(f'list{n}x{k}@corp.bench.example' for k in range(25))}]}}\n"
        for n in range(40)
    ]
    items = ", ".join(f"addr{n}@listed{n % 613}.example" for n in range(max(1, entries)))
    parts.append(f"  long-list: {{type: address, items: [{items}]}}\n")
    parts.append("rules:\n")
    parts += _rules(count)
    parts.append("...\n")
    (directory / "10-bench.yaml").write_text("".join(parts), encoding="utf-8")
