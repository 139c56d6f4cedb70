"""`tidegate fields` and `tidegate schema`: what a rule can ask for, out of the registries."""

from __future__ import annotations

import json

import click

from tidegate.cli.completion import field_names
from tidegate.cli.output import emit
from tidegate.conditions.fields import FIELDS, RECIPIENT_FIELDS
from tidegate.conditions.operators import OPERATORS
from tidegate.conditions.placeholders import OF_LIMITS, PLACEHOLDERS
from tidegate.model import Field
from tidegate.policy.schema import schema as make_schema

_SHORT = {field: name for name, field in RECIPIENT_FIELDS.items()}


@click.command()
@click.argument("words", nargs=-1, shell_complete=field_names)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def fields(words: tuple[str, ...], as_json: bool) -> None:
    """List the fields, operators and placeholders; with WORDS only the fields that have all of them in their line."""
    rows = [(_SHORT.get(row.name, row.name), row) for row in FIELDS.values()]
    rows = [(name, row) for name, row in rows if _has(words, name, row.type.value, row.manual)]
    if as_json:
        emit(
            {
                "fields": [
                    {
                        "name": name,
                        "type": row.type.value,
                        "known_from": row.stage.name,
                        "recipient": row.recipient,
                        "manual": row.manual,
                    }
                    for name, row in rows
                ],
                "operators": [
                    {
                        "name": row.operator.value,
                        "types": sorted(one.value for one in row.types),
                        "operand": row.operand.value,
                        "manual": row.manual,
                    }
                    for row in OPERATORS.values()
                ],
                "placeholders": {**PLACEHOLDERS, **OF_LIMITS},
            }
        )
        return
    if words:
        for name, row in rows:
            click.echo(_line(name, row))
        return
    for title, recipient in (("Fields", False), ("Inside any_rcpt, all_rcpt, no_rcpt", True)):
        click.echo(f"{title}:")
        for name, row in rows:
            if row.recipient is recipient:
                click.echo(_line(name, row))
        if not recipient:
            click.echo(f"  {'header.NAME':30}{'text':10}{'headers':9}the decoded values of any header")
    click.echo("Operators:")
    for operator in OPERATORS.values():
        click.echo(f"  {operator.operator.value:10}{operator.operand.value:10}{operator.manual}")
    click.echo("Placeholders:")
    for name, manual in {**PLACEHOLDERS, **OF_LIMITS}.items():
        click.echo(f"  {{{name}}}".ljust(20) + manual)


def _has(words: tuple[str, ...], *texts: str) -> bool:
    line = " ".join(texts).lower()
    return all(word.lower() in line for word in words)


def _line(name: str, row: Field) -> str:
    return f"  {name:30}{row.type.value:10}{row.stage.name.lower():9}{row.manual}"


@click.command()
@click.option("--json", "_as_json", is_flag=True, help="As JSON, which it always is.")
def schema(_as_json: bool) -> None:
    """Print the JSON Schema (draft-07) of policy files.

    An editor completes from it: tidegate schema > tidegate.schema.json, and on top of a policy file
    # yaml-language-server: $schema=tidegate.schema.json
    """
    click.echo(json.dumps(make_schema(), indent=2))
