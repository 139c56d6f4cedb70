"""Makes the man pages out of the docs, the commands and the registries: `python3 docs/manual.py FOLDER`.

tidegate(8) is the command line and docs/operations.md, tidegate.yaml(5) docs/settings.md, tidegate-policy(5)
docs/policy.md, docs/scenarios.md and docs/reference.md, tidegate-redis(7) docs/redis.md. Promises: the same sources
give the same bytes (no date). Refuses Markdown beyond what those pages use: headings, paragraphs, items, tables, fenced
blocks, `code`, **bold**, *emphasis*.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import click

import tidegate
from tidegate.cli import COMMANDS, main

HERE = Path(__file__).parent
PAGES = ("tidegate.8", "tidegate.yaml.5", "tidegate-policy.5", "tidegate-redis.7")

_INLINE = re.compile(r"`(?P<code>[^`]+)`|\*\*(?P<bold>[^*]+)\*\*|(?<![\w*])\*(?P<emphasis>[^*\s][^*]*)\*(?!\w)")
_CELL = re.compile(r"(?<!\\)\|")

FILES = (
    ("/etc/tidegate/tidegate.yaml", "the settings, tidegate.yaml(5)"),
    ("/etc/tidegate/policies/*.yaml", "the policies, tidegate-policy(5)"),
    ("/var/lib/tidegate", "records of what was last valid, lock, control socket"),
)


def escape(text: str) -> str:
    """Plain text for roff: no escape sequence, no request and no typographic minus comes out of it."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga")
    text = text.replace("^", "\\(ha").replace("~", "\\(ti")
    return f"\\&{text}" if text.startswith(".") else text


def inline(text: str) -> str:
    """One run of Markdown text: code and bold become bold, emphasis italic."""
    parts, end = [], 0
    for found in _INLINE.finditer(text):
        parts.append(escape(text[end : found.start()]))
        strong = found["code"] or found["bold"]
        parts.append(f"\\fB{escape(strong)}\\fR" if strong else f"\\fI{escape(found['emphasis'])}\\fR")
        end = found.end()
    return "".join([*parts, escape(text[end:])])


def _cells(line: str) -> list[str]:
    return [cell.strip().replace("\\|", "|") for cell in _CELL.split(line.strip()[1:-1])]


def _table(lines: Sequence[str]) -> Iterator[str]:
    """A row is a tagged paragraph: its first cell is the tag; of the others all but the meaning carry their heads."""
    heads = _cells(lines[0])
    for line in lines[2:]:
        tag, *cells = _cells(line)
        named = [(inline(head), inline(cell)) for head, cell in zip(heads[1:], cells, strict=True) if cell]
        said = [
            cell if not place and len(cells) < 3 else f"({head}: {cell})" for place, (head, cell) in enumerate(named)
        ]
        yield from (".TP", inline(tag), *(said or ["\\&"]))


def _block(lines: Sequence[str]) -> Iterator[str]:
    """Lines as they stand."""
    yield from (".PP", ".nf", ".RS 4", *(escape(line) or "\\&" for line in lines), ".RE", ".fi")


def roff(markdown: str) -> Iterator[str]:
    """A page's text, without its title line."""
    lines = markdown.splitlines()
    at = 0
    while at < len(lines):
        line, start = lines[at], at
        at += 1
        if line.startswith("```"):
            while not lines[at].startswith("```"):
                at += 1
            yield from _block(lines[start + 1 : at])
            at += 1
        elif line.startswith("    ") and line.strip():
            while at < len(lines) and lines[at].startswith("    "):
                at += 1
            yield from _block([one[4:] for one in lines[start:at]])
        elif line.startswith("|"):
            while at < len(lines) and lines[at].startswith("|"):
                at += 1
            yield from _table(lines[start:at])
        elif line.startswith("## "):
            yield f'.SH "{escape(line[3:].replace("`", "")).upper()}"'
        elif line.startswith("### "):
            yield f'.SS "{escape(line[4:].replace("`", ""))}"'
        elif line.strip() and not line.startswith(("# ", "<!--")):
            while at < len(lines) and lines[at].strip() and not re.match(r"[|#]|```|- ", lines[at]):
                at += 1
            text = " ".join(one.strip() for one in lines[start:at])
            yield from (".IP \\(bu 2", inline(text[2:])) if text.startswith("- ") else (".PP", inline(text))


def _command(name: str, command: click.Command) -> Iterator[str]:
    """One command: how it is called, what it says of itself, its options."""
    context = click.Context(command, info_name=f"tidegate {name}", parent=None)
    yield f'.SS "{escape(" ".join(["tidegate", name, *command.collect_usage_pieces(context)]))}"'
    for paragraph in (command.help or "").split("\n\n"):
        yield from (".PP", inline(" ".join(paragraph.split()).replace("\b ", "")))
    for option in command.get_params(context):
        record = option.get_help_record(context)
        if record and option.name != "help":
            yield from (".TP", f"\\fB{escape(record[0])}\\fR", escape(record[1] or "") or "\\&")
    if isinstance(command, click.Group):
        for one in command.list_commands(context):
            inner = command.get_command(context, one)
            assert inner is not None, one
            yield from _command(f"{name} {one}", inner)


def _commands() -> Iterator[str]:
    yield ".SH COMMANDS"
    context = click.Context(main, info_name="tidegate")
    for name in COMMANDS:
        command = main.get_command(context, name)
        assert command is not None, name
        yield from _command(name, command)


def _head(name: str, section: str, purpose: str) -> Iterator[str]:
    yield '.\\" Made by docs/manual.py.'
    yield f'.TH {name.upper()} {section} "" "Tidegate {tidegate.__version__}" "Tidegate"'
    yield from (".SH NAME", f"{escape(name)} \\- {escape(purpose)}")


def _doc(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def _files() -> Iterator[str]:
    yield ".SH FILES"
    for path, meaning in FILES:
        yield from (".TP", f"\\fI{escape(path)}\\fR", inline(meaning))


def _see_also(*pages: str) -> Iterator[str]:
    yield ".SH SEE ALSO"
    yield ", ".join(f"\\fB{escape(name)}\\fR({section})" for name, section in (page.split("/") for page in pages))


def page(name: str) -> str:
    """The whole text of one of PAGES."""
    parts: Iterable[str]
    if name == "tidegate.8":
        parts = (
            *_head("tidegate", "8", "outbound mail policy milter for Postfix"),
            *(".SH SYNOPSIS", "\\fBtidegate\\fR \\fICOMMAND\\fR [\\fIOPTIONS\\fR]"),
            *(".SH DESCRIPTION", escape((main.help or "").strip())),
            *_commands(),
            *roff(_doc("operations.md")),
            *_files(),
            *_see_also("tidegate.yaml/5", "tidegate-policy/5", "tidegate-redis/7", "postconf/5", "systemctl/1"),
        )
    elif name == "tidegate.yaml.5":
        parts = (
            *_head("tidegate.yaml", "5", "settings of the milter daemon tidegate"),
            ".SH DESCRIPTION",
            *roff(_doc("settings.md")),
            *_files(),
            *_see_also("tidegate/8", "tidegate-policy/5"),
        )
    elif name == "tidegate-redis.7":
        parts = (
            *_head("tidegate-redis", "7", "policy of the milter daemon tidegate in Redis"),
            ".SH DESCRIPTION",
            *roff(_doc("redis.md")),
            *_see_also("tidegate/8", "tidegate.yaml/5", "tidegate-policy/5", "redis-server/1"),
        )
    else:
        parts = (
            *_head("tidegate-policy", "5", "policy language of the milter daemon tidegate"),
            ".SH DESCRIPTION",
            *roff(_doc("policy.md")),
            *roff(_doc("scenarios.md")),
            *roff(_doc("reference.md")),
            *_see_also("tidegate/8", "tidegate.yaml/5"),
        )
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    for one in PAGES:
        (target / one).write_text(page(one), encoding="utf-8")
