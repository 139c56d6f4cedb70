"""`tidegate test [PATH…]`: the examples of a policy directory, and scenario files."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field

import click

from tidegate import trial
from tidegate.cli.confined import run as run_confined
from tidegate.cli.output import UnableError, emit, safe
from tidegate.cli.policies import Opened, files_of, open_policies, open_sources
from tidegate.cli.site import POLICIES, conventions, policy_options, site_if_there
from tidegate.loader.sources import read_file
from tidegate.model import Conventions, Place, Severity, Source
from tidegate.policy.nodes import Mapping, compose
from tidegate.policy.scenarios import PolicyText, Scenario, parse_scenarios


@dataclass(frozen=True, slots=True)
class Failure:
    """One promise that is not kept."""

    place: str
    name: str
    what: str
    expected: str
    got: str


@dataclass(slots=True)
class _Run:
    """What has been tried."""

    examples: int = 0
    scenarios: int = 0
    instead: str = ""
    failures: list[Failure] = field(default_factory=list)


@click.command()
@click.argument("paths", metavar="[PATH]…", nargs=-1, type=click.Path(exists=True))
@policy_options
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def test(
    paths: tuple[str, ...], config: str, default_realm: str | None, recipient_delimiter: str | None, as_json: bool
) -> None:
    """Try the examples of policies, and scenario files.

    PATH is a policy directory, a directory of scenario files, or one file of either kind; left out, the policy
    directory of the settings file. Exit codes: 0 every promise is kept; 1 one is not; 2 it can't be tried.
    """
    site = site_if_there(config)
    known = conventions(site, default_realm, recipient_delimiter)
    chosen = paths or (site.settings.policies if site and site.settings else POLICIES,)
    tried = json.loads(run_confined(lambda progress: try_paths(chosen, known, progress)))
    failures = [Failure(**one) for one in tried["failures"]]
    if as_json:
        emit(tried)
    else:
        for one in failures:
            click.echo(safe(f"{one.place}: {one.name}: {one.what}: expected {one.expected}; got {one.got}"))
        click.echo(f"{tried['examples']} examples, {tried['scenarios']} scenarios: {len(failures)} failures")
    sys.exit(1 if failures else 0)


def try_paths(
    paths: tuple[str, ...], conventions: Conventions, progress: Callable[[str], None], instead: str = ""
) -> str:
    """In the confined child: all of them, as JSON of what was tried and of each failure.

    `instead`: a policy directory that stands in for those that scenario files name.
    """
    run = _Run(instead=instead)
    for path in paths:
        progress(path)
        _try_path(path, conventions, run)
    failures = [asdict(one) for one in run.failures]
    return json.dumps({"examples": run.examples, "scenarios": run.scenarios, "failures": failures})


def _try_path(path: str, conventions: Conventions, run: _Run) -> None:
    """A directory can hold both: scenario files are tried as such, and the policies' examples if there are policies."""
    if os.path.isfile(path):
        if _is_scenarios(path):
            _try_scenarios(path, run)
        else:
            _try_examples(path, conventions, run)
        return
    try:
        names = sorted(os.listdir(path))
    except OSError as error:
        raise UnableError(f"{path}: {error.strerror}") from error
    files = [os.path.join(path, name) for name in names if name.endswith(".yaml") and not name.startswith(".")]
    scenarios = [file for file in files if _is_scenarios(file)]
    for file in scenarios:
        _try_scenarios(file, run)
    if len(scenarios) < len(files) or not files:
        _try_examples(path, conventions, run)


def _is_scenarios(path: str) -> bool:
    root, _ = compose(read_file(*os.path.split(os.path.abspath(path))).data, path)
    return isinstance(root, Mapping) and any(key.text == "scenarios" for key, _ in root.pairs)


def _try_examples(path: str, conventions: Conventions, run: _Run) -> None:
    """The examples of all rules in force. An entry that is broken has none that could be kept, so it fails here."""
    policy, generation, problems = open_policies(path, conventions)
    run.examples += sum(len(examples) for examples in policy.examples.values())
    base = path if os.path.isdir(path) else os.path.dirname(path) or "."
    for one in trial.prove(policy, generation, time.time(), read_file=files_of(base)):
        expected, _, got = one.message.partition("; got: ")
        name = str(one.entry) if one.entry is not None else ""
        if got:
            run.failures.append(
                Failure(_at(path, one.place), name, "example", expected.removeprefix("expected: "), got)
            )
        else:
            run.failures.append(Failure(_at(path, one.place), name, "example", "a case that can be tried", one.message))
    for one in problems:
        if one.severity is Severity.ERROR:
            name = str(one.entry) if one.entry is not None else one.place.source
            run.failures.append(Failure(_at(path, one.place), name, one.code, "a valid policy", one.message))


def _at(path: str, place: Place) -> str:
    base = path if os.path.isdir(path) else os.path.dirname(path)
    return os.path.join(base, str(place))


def _try_scenarios(path: str, run: _Run) -> None:
    for failure in scenario_failures(path, run):
        run.failures.append(failure)


def scenario_failures(path: str, run: _Run | None = None) -> Iterator[Failure]:
    """Everything in which a scenario file's promises are not kept. Raises UnableError."""
    base, name = os.path.split(path)
    base = base or "."
    scenarios, problems = parse_scenarios(read_file(base, name))
    for one in problems:
        if one.severity is Severity.ERROR:
            yield Failure(_at(path, one.place), name, one.code, "a valid scenario file", one.message)
    opened: dict[tuple[PolicyText, Conventions], Opened] = {}
    failed: dict[tuple[PolicyText, Conventions], None] = {}
    for scenario in scenarios:
        key = (scenario.policy, scenario.conventions)
        if key not in opened:
            opened[key] = _open(scenario, base, run.instead if run is not None else "")
        if run is not None:
            run.scenarios += 1
        place = _at(path, scenario.place)
        try:
            outcome = trial.run_scenario(scenario, opened[key][1], time.time(), files_of(base))
        except trial.BadCaseError as error:
            yield Failure(place, scenario.name, "given", "a case that can be tried", str(error))
            continue
        for found in trial.differences(scenario.expect, outcome):
            failed[key] = None
            yield Failure(place, scenario.name, found.what, found.expected, found.got)
    # A scenario may be about a broken policy, so its problems are told only where they may be the reason.
    for key in failed:
        for one in opened[key][2]:
            if one.severity is Severity.ERROR:
                yield Failure(f"{path}: {one.place}", "policy", one.code, "a valid policy", one.message)


def _open(scenario: Scenario, base: str, instead: str) -> Opened:
    written, conventions = scenario.policy, scenario.conventions
    before = _text(written.before, base, conventions)[0] if written.before else None
    if written.text:
        return open_sources((Source("policy.yaml", written.text.encode()),), files_of(base), conventions, (), before)
    if before is not None:
        raise UnableError(f"{scenario.place}: `before` goes with a policy that is written in the scenario file")
    return open_policies(instead or os.path.join(base, written.path), conventions)


def _text(text: str, base: str, conventions: Conventions) -> Opened:
    return open_sources((Source("policy.yaml", text.encode()),), files_of(base), conventions)
