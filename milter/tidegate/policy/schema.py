"""A JSON Schema (draft-07) of policy files, made from the registries, so that editors complete and explain.

It is looser than the validator where JSON Schema can't say what is meant (names of lists, patterns); what it refuses,
the validator refuses too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tidegate.conditions.fields import FIELDS, RECIPIENT_FIELDS
from tidegate.conditions.operators import Operand
from tidegate.model import Field, FieldType, ListKind, Mode, OnError, OnInvalid, OnStoreDown, OnUninspected
from tidegate.policy.actions import ACTIONS, KNOWN
from tidegate.policy.comparisons import DIRECTIONS, WRITTEN_OPERATORS, operators_of
from tidegate.policy.examples import CASE_KEYS, EXAMPLE_KEYS, UNAVAILABLE
from tidegate.policy.keys import EXCEPT_KEYS, RULE_KEYS
from tidegate.policy.limits import (
    ALL,
    BY_KEYS,
    COUNT_KEYS,
    LIMIT_KEYS,
    MAX_FIELDS,
    MAX_KEYS,
    PLAIN,
    SHARE,
    SINGLE,
)
from tidegate.policy.lists import ITEM_KEYS, KINDS, LIST_KEYS, SOURCES
from tidegate.policy.restraints import BRAKE_WORDS, EXPECT_KEYS, MAX_LOGINS
from tidegate.policy.rules import MAX_PRIORITY
from tidegate.policy.schedule import ACTIVE_KEYS, DAYS, SAMPLE_KEYS
from tidegate.policy.scope import SCOPE_KEYS
from tidegate.policy.staleness import MAX_STALE_KEYS, THEN
from tidegate.policy.suspend import SUSPEND_KEYS, WHO

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string", "minLength": 1}
_AGE: Schema = {"type": "string", "pattern": "^[1-9][0-9]*[smhd]$"}
_WHOLE: Schema = {"type": "integer", "minimum": 0}
_FLAG: Schema = {"type": "boolean"}
_ID: Schema = {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"}
_DATE: Schema = {"type": "string", "pattern": "^[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}"}
_CONDITION: Schema = {"$ref": "#/definitions/condition"}
_RECIPIENT: Schema = {"$ref": "#/definitions/recipient"}
_CASE: Schema = {"$ref": "#/definitions/case"}


def schema() -> Schema:
    """The schema of a policy file of version 1."""
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Tidegate policy, version 1",
        "type": "object",
        "additionalProperties": False,
        "required": ["version"],
        "properties": {
            "version": {"const": 1, "description": "the version of the policy language"},
            "lists": _named({"$ref": "#/definitions/list"}, "named sets that tests look into"),
            "conditions": _named(_CONDITION, "named questions that rules use"),
            "rules": _array({"$ref": "#/definitions/rule"}, description="what happens to which mail"),
        },
        "definitions": {
            "rule": _rule(),
            "list": _list(),
            "condition": _condition(recipient=False),
            "recipient": _condition(recipient=True),
            "do": _do(),
            "case": _object(CASE_KEYS, _case_values()),
        },
    }


def _several(one: Schema) -> Schema:
    """A value, or a list of such values."""
    return {"anyOf": [one, _array(one)]}


def _array(items: Schema, **more: Any) -> Schema:
    return {"type": "array", "items": items, "minItems": 1, **more}


def _words(words: Any) -> Schema:
    return {"enum": list(words)}


def _named(one: Schema, manual: str) -> Schema:
    return {"type": "object", "description": manual, "propertyNames": _ID, "additionalProperties": one}


def _object(manual: Mapping[str, str], values: Mapping[str, Schema], required: tuple[str, ...] = ()) -> Schema:
    """A map with the keys of a registry and their manual lines."""
    properties = {name: {"description": line, **values.get(name, _TEXT)} for name, line in manual.items()}
    found: Schema = {"type": "object", "additionalProperties": False, "minProperties": 1, "properties": properties}
    if required:
        found["required"] = list(required)
    return found


def _rule() -> Schema:
    manual = {name: row.manual for name, row in RULE_KEYS.items()}
    values: dict[str, Schema] = {
        "id": _ID,
        "tags": _several(_ID),
        "priority": {"type": "integer", "minimum": 0, "maximum": MAX_PRIORITY, "default": 100},
        "mode": {**_words(one.value for one in Mode), "default": Mode.ENFORCE.value},
        "scope": _object(
            SCOPE_KEYS, dict.fromkeys(SCOPE_KEYS, _several(_TEXT)) | {"directions": _several(_words(DIRECTIONS))}
        ),
        "when": _CONDITION,
        "except": _array(_object(EXCEPT_KEYS, {"name": _ID, "when": _CONDITION, "until": _DATE}, ("name", "when"))),
        "do": {"$ref": "#/definitions/do"},
        "limits": _array(_limit()),
        "active": _object(
            ACTIVE_KEYS,
            {
                "from": _DATE,
                "until": _DATE,
                "days": _several({"type": "string", "pattern": f"^({'|'.join(DAYS)})(-({'|'.join(DAYS)}))?$"}),
                "hours": _several({"type": "string", "pattern": "^[0-9]{1,2}:[0-9]{2} ?- ?[0-9]{1,2}:[0-9]{2}$"}),
            },
        ),
        "sample": _object(
            SAMPLE_KEYS, {"percent": {"type": "number", "exclusiveMinimum": 0, "maximum": 100}}, tuple(SAMPLE_KEYS)
        ),
        "on_invalid": _words(one.value for one in OnInvalid),
        "on_error": _words(one.value for one in OnError),
        "on_uninspected": _words(one.value for one in OnUninspected),
        "per_recipient": _FLAG,
        "expect": _object(
            EXPECT_KEYS,
            {
                "max_logins": {"type": "integer", "minimum": 1, "maximum": MAX_LOGINS},
                "per": _AGE,
            },
            tuple(EXPECT_KEYS),
        ),
        "max_stale": {"anyOf": [_AGE, _object(MAX_STALE_KEYS, {"after": _AGE, "then": _words(THEN)}, ("after",))]},
        "brake": _words(BRAKE_WORDS),
        "examples": _object(EXAMPLE_KEYS, dict.fromkeys(EXAMPLE_KEYS, _array(_CASE))),
    }
    return _object(manual, values, ("id", "when", "do"))


def _limit() -> Schema:
    one_field = _words(SINGLE)
    through = _object(BY_KEYS, {"field": one_field}, tuple(BY_KEYS))
    counted = _object(COUNT_KEYS, {"rcpt": _RECIPIENT}) | {"maxProperties": 1}
    plan = _object(MAX_KEYS, {"by": one_field, "default": _WHOLE}, ("map", "default"))
    values: dict[str, Schema] = {
        "name": _ID,
        "by": {"anyOf": [_words((*SINGLE, ALL)), _array(one_field, maxItems=MAX_FIELDS), through]},
        "count": {"anyOf": [_words(PLAIN), counted]},
        "max": {"anyOf": [_WHOLE, plan]},
        "per": _AGE,
        "warn": {"anyOf": [{"type": "string", "pattern": "^[0-9]{1,3}%$"}, {"type": "number", "maximum": 100}]},
        "on_store_down": _words(one.value for one in OnStoreDown),
    }
    return _object(LIMIT_KEYS, values, ("name", "by", "count", "max", "per"))


def _list() -> Schema:
    item = {"anyOf": [_TEXT, _object(ITEM_KEYS, {"until": _DATE}, ("item",))]}
    mapped = {"type": "object", "additionalProperties": _several(_TEXT)}
    kinds = "; ".join(f"{kind.value}: {line}" for kind, line in KINDS.items())
    values: dict[str, Schema] = {
        "type": {**_words(one.value for one in ListKind), "description": kinds},
        "items": {"anyOf": [{"type": "array", "items": item}, mapped]},
        "redis": _ID,
        "max_stale": _AGE,
    }
    return _object(LIST_KEYS, values, ("type",)) | {"oneOf": [{"required": [one]} for one in SOURCES]}


def _condition(recipient: bool) -> Schema:
    own = _RECIPIENT if recipient else _CONDITION
    properties: dict[str, Schema] = {
        "all": {"description": "every one of them", **_array(own)},
        "any": {"description": "one of them at least", **_array(own)},
        "not": {"description": "it is not so", **own},
    }
    fields = {name: _test(FIELDS[full]) for name, full in RECIPIENT_FIELDS.items()}
    if recipient:
        fields |= {full: _test(FIELDS[full]) for full in RECIPIENT_FIELDS.values()}
    else:
        properties |= {
            "use": {"description": "a condition of `conditions:`", **_TEXT},
            "any_rcpt": {"description": "one recipient at least", **_RECIPIENT},
            "all_rcpt": {"description": "every recipient", **_RECIPIENT},
            "no_rcpt": {"description": "no recipient", **_RECIPIENT},
        }
        # Bare recipient fields stand in per_recipient rules too, which the schema can't tell from others.
        fields |= {name: _test(row) for name, row in FIELDS.items()}
    tests: Schema = {
        "type": "object",
        "additionalProperties": False,
        "minProperties": 1,
        "properties": properties | fields,
    }
    if not recipient:
        any_header = Field("header.NAME", FieldType.TEXT, FIELDS["subject"].stage, "the decoded values of that header")
        known = "|".join(re.escape(name.removeprefix("header.")) for name in FIELDS if name.startswith("header."))
        tests["patternProperties"] = {f"^header\\.(?!(?:{known})$)[!-9;-~]+$": _test(any_header)}
    return {"anyOf": [{"const": "always"}, tests]}


_PLAIN: dict[FieldType, Schema] = {FieldType.NUMBER: _several(_WHOLE), FieldType.BOOLEAN: _FLAG}
_SHARE: Schema = {"anyOf": [{"type": "string", "pattern": "^[0-9]+%$"}, {"type": "number"}]}
_OPERANDS: dict[Operand, Schema] = {
    Operand.LIST: _several(_TEXT),
    Operand.TEXT: _several(_TEXT),
    Operand.PATTERN: _several(_TEXT),
    Operand.NUMBER: _WHOLE,
    Operand.BOOLEAN: _FLAG,
}


def _test(row: Field) -> Schema:
    plain = _several(_words(DIRECTIONS)) if row.name == "direction" else _PLAIN.get(row.type, _several(_TEXT))
    written = {name: WRITTEN_OPERATORS[name] for name in operators_of(row)}
    operands = _OPERANDS
    if row.name == SHARE:
        plain, operands = _several(_SHARE), {**_OPERANDS, Operand.NUMBER: _SHARE}
    operators = {name: {"description": one.manual, **operands[one.operand]} for name, one in written.items()}
    nested = {
        "type": "object",
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
        "properties": operators,
    }
    return {"description": f"{row.manual} ({row.type.value})", "anyOf": [plain, nested]}


def _do() -> Schema:
    reply = _object({"code": "e.g. 550 5.7.1", "text": "with {placeholders}"}, {})
    headers = {"type": "object", "minProperties": 1, "additionalProperties": _several(_TEXT)}
    values: dict[str, Schema] = {
        "reject": reply,
        "defer": reply,
        "hold": _object({"reason": "for the log"}, {}, ("reason",)),
        "discard": _object({"confirm": "true"}, {"confirm": {"const": True}}, ("confirm",)),
        "add_header": headers,
        "set_header": headers,
        "redirect": {"anyOf": [_TEXT, _object({"matched": "for the recipients that matched"}, {}, ("matched",))]},
    }
    values["suspend"] = _object(SUSPEND_KEYS, {"list": _ID, "for": _AGE, "by": _words(WHO)}, ("list", "for"))
    several = ("remove_header", "add_rcpt", "remove_rcpt", "bcc", "exempt")
    values |= dict.fromkeys(several, _several(_TEXT))
    return _object({name: f"{ACTIONS[name].manual}: {ACTIONS[name].shape}" for name in KNOWN}, values)


def _case_values() -> dict[str, Schema]:
    text: Schema = {"type": "string"}
    texts = {"anyOf": [text, {"type": "array", "items": text}]}
    one_header_map: Schema = {"type": "object", "additionalProperties": texts}
    return {
        "sender": text,
        "subject": text,
        "rcpt": _several(_TEXT),
        "headers": {"anyOf": [one_header_map, _array(one_header_map)]},
        "size": _WHOLE,
        "local": _FLAG,
        "lists": {"type": "object"},
        "limits": {"type": "object", "additionalProperties": {"anyOf": [_WHOLE, {"const": UNAVAILABLE}]}},
        "unreadable": _several(_TEXT),
        "now": _DATE,
    }
