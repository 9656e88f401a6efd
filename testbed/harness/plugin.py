# SPDX-License-Identifier: MIT
"""The pytest plugin: options, markers and fixtures, and the protocol by which a case is executed and compared."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from testbed.backends.base import CAPABILITIES
from testbed.errors import CapabilityError, ConfigError, ExitCode, near_misses
from testbed.harness import hooks
from testbed.harness.execution import KEY, Execution
from testbed.harness.failures import told_from_outside
from testbed.harness.runfolder import RunFolder
from testbed.harness.settings import DEFAULT_LIBOS, Settings, add_options, settings_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from testbed.backends.base import Backend
    from testbed.backends.network import Network
    from testbed.backends.node import Node
    from testbed.scenarios.topology import Topology

NETWORK = "network"
DEFAULT_SCENARIO = "pair"
MARKERS = (
    "scenario(name_or_topology_or_callable, **params): the network of the case; params are those of the scenario",
    "digest_without(*parts): parts not in the digest: 'commands', 'process:PROGRAM', 'capture:LINK.NODE', 'kernel'",
    "requires(*capabilities): skip where the kernel lacks one of them: 'mptcp', 'sctp', ...",
    "complete(major, minor): a skip on testbed's own kernel is an error, where that is at least so new",
    "real_time_budget(seconds): how long the case takes on a backend in real time",
    "memory(mib): memory of the guest",
    "flavors(*abilities, only=()): what a LibOS must be able to do: 'tcp', 'pipe', ...; only=: else there is no case",
)
_FOLDER: pytest.StashKey[RunFolder] = pytest.StashKey()
_BACKEND: pytest.StashKey[Backend] = pytest.StashKey()
_WORKER_INPUT = "testbed_run"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options."""
    add_options(parser)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Declare the hooks."""
    pluginmanager.add_hookspecs(hooks)


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Load testbed's terminal: before ``pytest_configure``, so that its own comes after pytest's."""
    if config.getoption("--testbed-terminal"):
        # By its name: reports know harness.records, the harness knows no report.
        config.pluginmanager.import_plugin("testbed.reports.terminal")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Declare the markers; choose the run's folder; check what was asked for."""
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    worker = getattr(config, "workerinput", None)
    if worker is not None:
        config.stash[_FOLDER] = RunFolder(Path(worker[_WORKER_INPUT]))
        return
    try:
        config.stash[_FOLDER] = RunFolder.choose(config.getoption("--run-dir"))
        _check_names(settings_of(config))
    except ConfigError as error:
        raise pytest.UsageError(str(error)) from error
    except CapabilityError as error:
        pytest.exit(str(error), returncode=ExitCode.CANNOT)
    _start_session(config)


def _start_session(config: pytest.Config) -> None:
    from testbed.harness.session import PLUGIN, RunSession  # noqa: PLC0415 (not every pytest session needs it)

    session = RunSession(config, config.stash[_FOLDER])
    config.pluginmanager.register(session, PLUGIN)
    asked = config.getoption("--repeat") is not None or config.getoption("--backend") != "timetravel"
    if asked:
        session.backend_chosen(settings_of(config).repeats(_backend(config)))
        _check_room(config)
    if config.getoption("--run-dir") is not None or config.getoption("--testbed-terminal"):
        session.activate()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker of xdist where the run's folder is."""
    node.workerinput[_WORKER_INPUT] = str(node.config.stash[_FOLDER].path)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object | None:
    """Have the long cases begin first; what else was asked for (``--dist``) is xdist's."""
    if config.getoption("dist") != "load":
        return None
    from testbed.harness.schedule import LongestFirst  # noqa: PLC0415 (xdist may not be there)

    return LongestFirst(config, log, backend=settings_of(config).backend)


@pytest.hookimpl(trylast=True)
def pytest_testbed_backend(config: pytest.Config, name: str) -> Backend:  # noqa: ARG001 (the hook's argument)
    """Give one of testbed's own backends."""
    from testbed.backends.registry import backend  # noqa: PLC0415 (not every pytest session needs it)

    return backend(name)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make a case for each flavor of a test that takes one."""
    if "flavor" in metafunc.fixturenames:
        from testbed.harness import flavors  # noqa: PLC0415 (not every pytest session needs it)

        flavors.parametrize(metafunc, settings_of(metafunc.config).libos)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is not for the flavor that was asked for."""
    if settings_of(config).libos == DEFAULT_LIBOS and not any("flavor" in _fixtures(item) for item in items):
        return
    from testbed.harness import flavors  # noqa: PLC0415 (not every pytest session needs it)

    out = flavors.select(items, settings_of(config).libos)
    if out:
        config.hook.pytest_deselected(items=out)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Execute a case that uses a network as often as asked for, each time afresh, and report it once."""
    if NETWORK not in getattr(item, "fixturenames", ()):
        return None
    from testbed.harness.cases import Case  # noqa: PLC0415 (not every pytest session needs it)

    config = item.config
    folder = config.stash[_FOLDER]
    case = Case(item, backend=_backend(config), settings=settings_of(config), run=folder)
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for report in case.execute(nextitem):
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Judge each phase of an execution; of a guest that died, tell the cause and not our own frames."""
    execution = item.stash.get(KEY, None)
    with told_from_outside(item, call) as told:
        report = yield
    if told is not None:
        report.longrepr = told
    if execution is not None:
        execution.judge(report, call.excinfo)
    return report


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """Give the seed of this case: derived from ``--seed`` and the test's name, 63 bits."""
    return _execution(request).seed


@pytest.fixture
def topology(request: pytest.FixtureRequest) -> Topology:
    """Give the topology that the ``scenario`` marker asks for; without one, a pair. A module may define its own."""
    from testbed.scenarios.registry import scenario  # noqa: PLC0415 (not every pytest session needs it)

    marker = request.node.get_closest_marker("scenario")
    if marker is None:
        return _given(request, scenario(DEFAULT_SCENARIO))
    if len(marker.args) != 1:
        raise ConfigError(f"scenario() wants one name, topology or function, found {marker.args!r}")
    what = marker.args[0]
    if isinstance(what, str):
        return _given(request, scenario(what, **marker.kwargs))
    if callable(what):
        made: Topology = what(**marker.kwargs)
        return _given(request, made)
    if marker.kwargs:
        raise ConfigError(f"scenario(Topology, ...) takes no parameters, found {sorted(marker.kwargs)}")
    wanted: Topology = what
    return _given(request, wanted)


@pytest.fixture
def network(request: pytest.FixtureRequest, topology: Topology) -> Iterator[Network]:
    """Bring a fresh network up for this execution of this case, and take it down after it."""
    up = _execution(request).bring_up(_given(request, topology))  # a module's own fixture knows no --topo
    yield up
    up.down()


@pytest.fixture
def program(network: Network) -> Callable[[Node, str], str]:  # noqa: ARG001 (programs go into nodes of a network)
    """Give a function that puts a compiled program of the suites into a node and gives its path there."""
    from testbed.harness.programs import install  # noqa: PLC0415 (not every pytest session needs it)

    return install


def _given(request: pytest.FixtureRequest, wanted: Topology) -> Topology:
    """Give the network of ``--topo`` in place of a case's own, where it has the nodes that the case names.

    Raises:
        CapabilityError: It lacks some: the case is skipped.
    """
    spec = settings_of(request.config).topo
    if spec is None:
        return wanted
    from testbed.scenarios.given import given_topology, lacking  # noqa: PLC0415 (not every pytest session needs it)

    found = given_topology(spec)
    missing = lacking(found, (node.name for node in wanted.nodes))
    if missing:
        raise CapabilityError(f"the network of {spec} has no {', '.join(missing)}, which the case is about")
    return found


def _fixtures(item: pytest.Item) -> list[str]:
    """Give the names that a test takes, of fixtures and parameters."""
    return getattr(item, "fixturenames", [])


def _execution(request: pytest.FixtureRequest) -> Execution:
    execution = request.node.stash.get(KEY, None)
    if execution is None:
        raise ConfigError(
            f"{request.node.nodeid} asks for {request.fixturename!r} without the fixture 'network' among its arguments",
            hint="def test_something(network): ...",
        )
    found: Execution = execution
    return found


def _backend(config: pytest.Config) -> Backend:
    """Give the backend of this run, made once; refuse what it cannot promise."""
    found = config.stash.get(_BACKEND, None)
    if found is None:
        settings = settings_of(config)
        try:
            found = config.hook.pytest_testbed_backend(config=config, name=settings.backend)
            _check_promise(found, settings)
        except ConfigError as error:
            raise pytest.UsageError(str(error)) from error
        except CapabilityError as error:
            pytest.exit(str(error), returncode=ExitCode.CANNOT)
        config.stash[_BACKEND] = found
    return found


def _check_names(settings: Settings) -> None:
    """Refuse a flavor or capability that does not exist: it would be an error, or never fire, case by case."""
    if settings.libos != DEFAULT_LIBOS:
        from testbed.backends.artifacts import find_kernel  # noqa: PLC0415 (not every pytest session needs it)
        from testbed.libos.flavor import flavor, is_artifact  # noqa: PLC0415

        if is_artifact(settings.libos):
            find_kernel(Path(settings.libos))
        else:
            flavor(settings.libos)
    if settings.switch is not None:
        from testbed.backends.registry import switch_kind  # noqa: PLC0415 (not every pytest session needs it)

        switch_kind(settings.switch, settings.backend)
    if settings.topo is not None:
        from testbed.scenarios.given import given_topology  # noqa: PLC0415 (not every pytest session needs it)

        given_topology(settings.topo)
    for name in (name for name in settings.require if name not in CAPABILITIES):
        raise ConfigError(f"--require {name}: no such capability; {near_misses(name, CAPABILITIES)}")


def _check_room(config: pytest.Config) -> None:
    """Refuse several cases at a time where there is room for one network only."""
    from testbed.backends.registry import alone  # noqa: PLC0415 (not every pytest session needs it)

    name = settings_of(config).backend
    workers = getattr(config.option, "numprocesses", None) or 1
    if workers > 1 and alone(name):
        raise pytest.UsageError(f"backend {name!r} has room for one network at a time: leave out -n {workers}")


def _check_promise(backend: Backend, settings: Settings) -> None:
    if settings.repeat is not None and settings.repeat > 1 and not backend.promises_identical_bits:
        raise CapabilityError(
            f"backend {backend.name!r} does not promise identical bits, "
            f"so --repeat {settings.repeat} has nothing to compare",
            hint="leave --repeat out, or use --backend timetravel",
        )
