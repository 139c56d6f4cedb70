"""What can be known of the Debian package without building it. `make deb` builds it; lintian reads what came out."""

from __future__ import annotations

import ast
import configparser
import re
import subprocess
from pathlib import Path

import pytest

import tidegate
from tidegate.alerts.mail import FOLDER
from tidegate.postfix import kept
from tidegate.settings import Settings, load_settings
from tidegate.settings.values import STATE

ROOT = Path(__file__).resolve().parents[2]
DEBIAN = ROOT / "debian"
UNITS = ("tidegate.service", "tidegate@.service")
SHELL = ("tidegate.init", "tidegate.postinst", "tidegate.prerm", "tidegate.postrm", "build.sh")
CANARY = (
    "canary      generation 3 gets 10 % of the senders beside 1 for 1 s: 9 messages of 7 senders, {} stopped;"
    " beside it 80 messages of 60 senders, 0 stopped"
)
LICENCE = "GPL-2.0-or-later"


def read(name: str) -> str:
    """A file of debian/."""
    return (DEBIAN / name).read_text(encoding="utf-8")


def directives(unit: str) -> dict[str, list[str]]:
    """Directive: its values in order, comments left out."""
    found: dict[str, list[str]] = {}
    for line in read(unit).splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


def field(name: str) -> set[str]:
    """The packages that a field of debian/control names, alternatives included."""
    value = re.search(rf"^{name}:((?:\n? .*)+)", read("control"), re.MULTILINE)
    assert value, name
    return {one.split()[0] for one in re.split(r"[,|]", value[1]) if one.strip()}


def setup() -> configparser.ConfigParser:
    """setup.cfg."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(ROOT / "setup.cfg")
    return parser


def test_the_version_is_the_program_s() -> None:
    """debian/changelog and the program tell one version."""
    head = re.match(r"tidegate \((.+)\) \S+; urgency=", read("changelog"))
    assert head
    assert tidegate.__version__ == head[1]


def test_the_licence_is_the_program_s() -> None:
    """debian/copyright and setup.cfg tell one licence."""
    assert LICENCE == setup()["metadata"]["license"]
    assert f"License: {LICENCE}" in read("copyright")


def test_make_deb_installs_what_the_build_needs() -> None:
    """Every build dependency is a row of the packages that `make deb` installs."""
    rows = (ROOT / "tests/setup/packages.txt").read_text().splitlines()
    installed = {
        name for row in rows if row.startswith(("run ", "deb ")) for name in row.split()[1:] if name.strip("|")
    }
    virtual = {"debhelper-compat", "dh-sequence-installsysusers", "dh-sequence-python3"}
    assert set() == field("Build-Depends") - virtual - installed


def test_the_libraries_are_build_dependencies() -> None:
    """What setup.cfg demands is there when the man pages are made, under Debian's names."""
    names = {line.strip() for line in setup()["options"]["install_requires"].splitlines() if line.strip()}
    debian = {"pymilter": "milter", "PyYAML": "yaml"}
    assert set() == {f"python3-{debian.get(name, name)}" for name in names} - field("Build-Depends")


def test_what_is_installed_is_there() -> None:
    """Each path that debhelper is told to install exists."""
    sources = [line.split()[0] for line in read("tidegate.install").splitlines()]
    paths = [*sources, *read("tidegate.docs").split(), *read("tidegate.examples").split()]
    assert [] == [path for path in paths if not (ROOT / path).exists()]


def test_shipped_policies_are_not_in_force() -> None:
    """They lie in /usr/share; /etc/tidegate/policies is made, and nothing is put into it."""
    assert "policies usr/share/tidegate" in read("tidegate.install").splitlines()
    assert "etc/tidegate/policies" in read("tidegate.dirs").splitlines()
    assert [] == [line for line in read("tidegate.install").splitlines() if line.endswith("etc/tidegate/policies")]


def test_the_shipped_settings_are_valid(tmp_path: Path) -> None:
    """All but the account can be checked here; the socket lies in the folder that tmpfiles makes."""
    text = read("local/tidegate.yaml")
    assert "\nuser: tidegate\n" in text
    file = tmp_path / "tidegate.yaml"
    file.write_text(text.replace("\nuser: tidegate\n", "\n"))
    settings = load_settings(str(file))
    assert isinstance(settings, Settings)
    assert (STATE, "/etc/tidegate/policies") == (settings.state, settings.policies)
    made = {row.split()[1] for row in read("tidegate.tmpfiles").splitlines() if not row.startswith("#")}
    assert {str(Path(path).parent) for path in (settings.listen.path, settings.log)} | {settings.state} <= made


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize(
    ("directive", "expected"),
    [
        pytest.param("Type", ["notify"], id="notify-reload is unknown to systemd 252"),
        pytest.param("User", ["tidegate"], id="never root"),
        pytest.param("KillMode", ["mixed"], id="TERM is the supervisor's business"),
        pytest.param("OOMPolicy", ["continue"], id="a killed worker doesn't end the daemon"),
        pytest.param("StartLimitIntervalSec", ["0"], id="no start limit"),
        pytest.param("Restart", ["on-failure"], id="tried again"),
        pytest.param("RestartPreventExitStatus", ["78"], id="but for settings that never were good"),
        pytest.param("CapabilityBoundingSet", [""], id="no capability"),
        pytest.param("SystemCallErrorNumber", ["EPERM"], id="a refused call is an error and no death"),
        pytest.param(
            "SystemCallFilter",
            ["@system-service", "~@privileged @resources", "sched_setaffinity"],
            id="workers may stay on one CPU",
        ),
    ],
)
def test_the_unit(unit: str, directive: str, expected: list[str]) -> None:
    """What the daemon relies on."""
    assert expected == directives(unit).get(directive)


def test_an_instance_is_confined_like_the_daemon() -> None:
    """The two units differ in names and places only."""
    one, many = (directives(unit) for unit in UNITS)
    named = {"Description", "ExecStart", "ExecReload", "StateDirectory", "Environment"}
    assert {key: value for key, value in one.items() if key not in named} == {
        key: value for key, value in many.items() if key not in named
    }


@pytest.mark.parametrize("unit", ["tidegate.tidegate-mail.service", "tidegate-mail@.service"])
def test_the_unit_for_mail_may_run_sendmail(unit: str) -> None:
    """Nothing in it implies NoNewPrivileges (systemd.exec(5)), which takes postdrop's set-group-ID away."""
    implying = {
        *(
            "NoNewPrivileges",
            "DynamicUser",
            "LockPersonality",
            "MemoryDenyWriteExecute",
            "PrivateDevices",
            "PrivateUsers",
        ),
        *("ProtectClock", "ProtectHostname", "ProtectKernelLogs", "ProtectKernelModules", "ProtectKernelTunables"),
        *("RestrictAddressFamilies", "RestrictNamespaces", "RestrictRealtime", "RestrictSUIDSGID"),
        *("SystemCallArchitectures", "SystemCallFilter", "SystemCallLog"),
    }
    found = directives(unit)
    assert set() == implying & found.keys()
    assert (["tidegate"], ["on-failure"], ["0"]) == (found["User"], found["Restart"], found["StartLimitIntervalSec"])


@pytest.mark.parametrize(
    ("name", "state"),
    [("tidegate.tidegate-mail", STATE), ("tidegate-mail@", f"{STATE}/%i")],
    ids=["daemon", "instance"],
)
def test_mail_is_collected_where_the_daemon_lays_it(name: str, state: str) -> None:
    """The path unit watches the folder that the service drains."""
    assert [f"{state}/{FOLDER}/*.eml"] == directives(f"{name}.path")["PathExistsGlob"]
    assert [f"/usr/bin/tidegate alerts mail --state {state}"] == directives(f"{name}.service")["ExecStart"]


def test_stopping_takes_no_longer_than_systemd_waits() -> None:
    """The longest deadline and the supervisor's own limits end before systemd kills."""
    tree = ast.parse((ROOT / "milter/tidegate/supervisor/stage.py").read_text())
    slack = next(
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "SLACK"
    )
    longest = 25.0  # docs/settings.md: deadline
    assert longest + 2 * slack < float(directives("tidegate.service")["TimeoutStopSec"][0])


@pytest.mark.parametrize("name", SHELL)
def test_shell_is_shell(name: str) -> None:
    """The scripts can be read by sh, and leave debhelper its place."""
    subprocess.run(["sh", "-n", str(DEBIAN / name)], check=True)
    assert ("#DEBHELPER#" in read(name)) == bool(re.search(r"postinst|prerm|postrm", name))


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        pytest.param("generation 2: 3 entries are new or changed, 0 are gone", 0, id="a reload"),
        pytest.param("  gone  rule old", 0, id="what it took away"),
        pytest.param(CANARY.format(0), 0, id="a canary that stops nobody"),
        pytest.param(CANARY.format(3), 1, id="a canary that stops somebody"),
        pytest.param("ERROR  10.yaml:4:12: there is no field `nope` [unknown-field]", 1, id="an alert is to be read"),
    ],
)
@pytest.mark.parametrize("stamp", ["Nov 24 14:18:02", "2026-11-24T14:18:02.624017+00:00"], ids=["classic", "precise"])
def test_logcheck_passes_over_what_is_normal(stamp: str, said: str, expected: int) -> None:
    """What `systemctl reload` says in the journal is no news, unless something is wrong."""
    line = f"{stamp} mx tidegate[4711]: {said}\n"
    rules = DEBIAN / "tidegate.logcheck.ignore.server"
    done = subprocess.run(["grep", "-Eqf", str(rules)], input=line, text=True, check=False)
    assert expected == done.returncode


def test_both_readmes_name_the_same_commands_for_postfix() -> None:
    """What README.Debian tells to run for Postfix, README.md tells as well."""
    commands = re.findall(r"^    (tidegate postfix .*)$", read("tidegate.README.Debian"), re.MULTILINE)
    assert ["tidegate postfix enable --dry-run", "tidegate postfix enable", "tidegate postfix check"] == commands
    readme = (ROOT / "README.md").read_text()
    assert [] == [command for command in commands if command not in readme]


def test_removal_takes_back_what_enable_did() -> None:
    """prerm looks for the record that `tidegate postfix enable` leaves, under the name that it has."""
    assert f"/var/lib/tidegate/{kept.PREFIX}*" in read("tidegate.prerm")
    assert "tidegate postfix disable" in read("tidegate.prerm")
