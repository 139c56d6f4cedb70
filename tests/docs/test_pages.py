"""What the pages show works as it stands there: an admin copies it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tidegate.cli import COMMANDS
from tidegate.cli.policy import COMMANDS as EDITING
from tidegate.cli.test import scenario_failures
from tidegate.model import Conventions, ListKind, Loaded, Operator, Quantifier, Severity, Source
from tidegate.policy.actions import KNOWN
from tidegate.policy.keys import RULE_KEYS
from tidegate.policy.lists import LIST_KEYS
from tidegate.policy.load import load
from tidegate.policy.schedule import ACTIVE_KEYS
from tidegate.settings import Settings, check_settings
from tidegate.settings.keys import KEYS, SECTIONS
from tidegate.store.address import parse
from tidegate.store.keys import Keys

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "postfix" / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(page: str) -> list[str]:
    """The YAML in fences."""
    return re.findall(r"^```yaml\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def loaded(text: str) -> Loaded:
    """A policy as written on a page; list files are there, and hold a line."""
    return load(
        (Source("page.yaml", text.encode()),), lambda name: Source(name, b"# none\n"), Conventions(), time.time()
    )


def errors(text: str) -> list[str]:
    """What is wrong with it, but for the names that stand for others'."""
    found = [one for one in loaded(text).problems if one.severity is Severity.ERROR]
    return [f"{one.place}: {one.message}" for one in found if one.code != "unknown-rule"]


def test_the_first_policy_is_valid() -> None:
    """Nothing to repair, and nothing that is missing: who copies it has a policy in force."""
    (policy,) = blocks("README.md")
    assert ((), 2) == (loaded(policy).problems, len(loaded(policy).rules))


def test_the_first_settings_are_valid() -> None:
    """But for the account, which the page tells to make."""
    text = README.partition("2. Settings are")[2].partition("\n3. ")[0]
    lines = [line.strip() for line in text.splitlines() if re.match(r" {7}\w+:", line)]
    assert {"listen", "policies", "user", "log"} <= {line.partition(":")[0] for line in lines}
    settings = check_settings("\n".join(lines).replace("user: tidegate", "user: root").encode(), "x")
    assert isinstance(settings, Settings), settings
    assert settings.listen.path == "/var/spool/postfix/tidegate/tidegate.sock"


def test_the_scenario_file_passes(tmp_path: Path) -> None:
    """The example of the format is one."""
    (text,) = blocks("docs/scenarios.md")
    (tmp_path / "page.yaml").write_text(text)
    assert [] == list(scenario_failures(str(tmp_path / "page.yaml")))


def policy_pieces() -> Iterator[str]:
    """The examples of docs/policy.md, each as a file of its own; several `do:` lines are several rules."""
    for block in blocks("docs/policy.md"):
        if block.startswith("version:"):
            yield block
        elif block.startswith("do:"):
            for number, line in enumerate(block.splitlines()):
                when = "{any_rcpt: {domain: example.net}}"
                yield f"version: 1\nrules:\n  - id: r{number}\n    when: {when}\n    {line}\n...\n"
        elif block.startswith("when:"):
            body = "".join(f"    {line}\n" for line in block.splitlines())
            yield f"version: 1\nrules:\n  - id: r\n{body}    do: {{hold: {{reason: x}}}}\n...\n"
        else:
            yield f"version: 1\n{block}...\n"


@pytest.mark.parametrize("text", policy_pieces())
def test_the_language_page_speaks_the_language(text: str) -> None:
    """Every piece of policy in it loads."""
    assert [] == errors(text)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_names_is_there(page: Path) -> None:
    """Files, commands: a reader who looks finds them."""
    text = page.read_text(encoding="utf-8")
    paths = re.findall(r"`((?:docs|postfix|tests|policies|milter)/[\w./-]*)`", text)
    rooms = re.findall(
        r"`((?:front|policy|engine|conditions|image|loader|supervisor|settings|observe|model|trial|cli)/\w+\.py)`", text
    )
    assert [] == [name for name in paths if not (ROOT / name).exists()]
    assert [] == [name for name in rooms if not (ROOT / "milter" / "tidegate" / name).exists()]
    commands = re.findall(r"`tidegate ([a-z][a-z-]*)|^ {4}tidegate ([a-z][a-z-]*)", text, re.MULTILINE)
    assert [] == [name for pair in commands for name in pair if name and name not in COMMANDS]


def test_the_table_of_commands_names_all_of_them() -> None:
    """Who looks for a command finds it on the page, with what its exit code 1 means."""
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    table = page.partition("| command | what it does")[2].partition("\n\n")[0]
    named = [re.findall(r"`([a-z -]+)", line.split(" | ")[0]) for line in table.splitlines()]
    assert set() == set(COMMANDS) - {text.split()[0] for texts in named for text in texts}
    editing = {text.split()[-1] for texts in named if texts and texts[0].startswith("policy ") for text in texts}
    assert set(EDITING) == editing


def test_the_language_page_names_everything() -> None:
    """Keys of rules, operators, actions, types of lists: what can be written is at least mentioned."""
    page = (ROOT / "docs" / "policy.md").read_text(encoding="utf-8")
    words = {*RULE_KEYS, *LIST_KEYS, *ACTIVE_KEYS, *KNOWN, *(one.value for one in (*ListKind, *Operator, *Quantifier))}
    assert set() == {word for word in words - {"one_of"} if not re.search(rf"(?<![\w.]){word}(?!\w)", page)}


def test_every_key_and_event_of_the_log_is_explained() -> None:
    """Who greps for what a line says finds it on the page."""
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    package = ROOT / "milter" / "tidegate"
    keys = re.findall(
        r'event\["(\w+)"\]|^        "(\w+)":', (package / "observe" / "decision.py").read_text(), re.MULTILINE
    )
    events = [
        found
        for source in package.rglob("*.py")
        for found in re.findall(r'(?:_log\.\w+|level)\(\s*"([a-z]+[a-z ]*)', source.read_text(encoding="utf-8"))
    ]
    assert len(events) > 20
    assert [] == [name for pair in keys for name in pair if name and f"`{name}`" not in page]
    assert [] == [name for name in events if f"`{name}" not in page]


def test_every_setting_has_a_member() -> None:
    """The registry and the values know the same names; `metrics` is two."""
    members = set(Settings.__dataclass_fields__) - {"metrics_host", "metrics_port"}
    assert members == (set(KEYS) | set(SECTIONS)) - {"metrics"}


def test_the_page_s_alerts_are_valid() -> None:
    """The section of docs/settings.md can be copied as it stands."""
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    section = page.partition("```yaml\n")[2].partition("```")[0]
    settings = check_settings(f"listen: unix:/a\npolicies: /b\n{section}".encode(), "x")
    assert isinstance(settings, Settings), settings
    assert 4 == len(settings.alerts.channels)


def test_the_page_s_redis_is_valid() -> None:
    """The settings of docs/redis.md can be copied as they stand, and each URL of it is one."""
    page = (ROOT / "docs" / "redis.md").read_text(encoding="utf-8")
    section = page.partition("```yaml\n")[2].partition("```")[0]
    settings = check_settings(f"listen: unix:/a\npolicies: /b\n{section}".encode(), "x")
    assert isinstance(settings, Settings), settings
    urls = re.findall(r"`((?:rediss?(?:\+\w+)?|unix)://[^`…]+)`", page)
    assert 5 <= len(urls)
    assert all(parse(url) for url in urls)


def test_the_redis_page_names_every_key_and_command() -> None:
    """What lies in Redis, and what changes it."""
    page = (ROOT / "docs" / "redis.md").read_text(encoding="utf-8")
    keys = [name for name, value in vars(Keys).items() if isinstance(value, property) and name not in ("tag", "slot")]
    assert [] == [name for name in keys if f"{{tidegate:ENV}}:{name}`" not in page]
    assert [] == [name for name in EDITING if not re.search(rf"`{name}\b", page)]


def test_the_house_names_every_room() -> None:
    """The drawing has all of them."""
    page = (ROOT / "docs" / "house.md").read_text(encoding="utf-8")
    rooms = {path.stem for path in (ROOT / "milter" / "tidegate").iterdir() if not path.name.startswith("__")}
    assert set() == {
        room for room in rooms if not re.search(rf"\b{room}\b", page.partition("```")[2].partition("```")[0])
    }
