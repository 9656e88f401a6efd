# SPDX-License-Identifier: MIT
"""Planted faults: each gives its verdict, its words and its exit code, never a pass."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from testbed.backends.base import CAPABILITIES
from testbed.paths import package_dir

if TYPE_CHECKING:
    from tests.harness.inner import Inner

PASSING = """
    def test_ok(network):
        assert network["h1"].run(["echo", "hello"]) == "hello"
"""


def test_passing_case_is_executed_twice_and_keeps_one_record(inner: Inner) -> None:
    inner.suite(PASSING)
    result = inner.run()
    result.assert_outcomes(passed=1)
    assert result.ret == 0
    case = inner.case()
    assert (case["verdict"], case["suite"], case["case"]) == ("passed", "mini-suite", "test_it.test_ok")
    assert [execution["verdict"] for execution in case["executions"]] == ["passed", "passed"]
    assert case["executions"][0]["digest"] == case["executions"][1]["digest"] == case["digest"]
    folder = inner.run_dir / "cases/mini-suite/test_it.test_ok"
    assert sorted(path.name for path in folder.iterdir()) == ["1"]
    assert (folder / "1/processes/000-h1-echo/stdout").read_text() == "hello"
    assert (folder / "1/processes/000-h1-echo/cmdline").read_text() == "echo hello\n"
    assert "exit: 0\n" in (folder / "1/processes/000-h1-echo/status").read_text()
    assert (folder / "1/captures/h1-h2.h1.pcapng").stat().st_size > 60
    assert (inner.run_dir.parent / "latest").resolve() == inner.run_dir


def test_keep_keeps_both_records(inner: Inner) -> None:
    inner.suite(PASSING)
    inner.run("--keep")
    folder = inner.run_dir / "cases/mini-suite/test_it.test_ok"
    assert sorted(path.name for path in folder.iterdir()) == ["1", "2"]


def test_planted_failure_fails_with_packets_and_replay(inner: Inner) -> None:
    inner.suite("""
        def test_bad(network):
            assert network["h1"].run(["echo", "hello"]) == "bye"
    """)
    result = inner.run()
    assert result.ret == 1
    result.assert_outcomes(failed=1)
    case = inner.case()
    assert case["verdict"] == "failed"
    assert case["reason"].startswith("AssertionError: assert 'hello' == 'bye'")
    result.stdout.fnmatch_lines(["*last 1 packets*", "h1-h2.h1: 0.001000000 s 19 bytes *", "*record*", "*replay*"])
    result.stdout.fnmatch_lines(["pytest suites/mini_suite/test_it.py::test_bad --seed 1 --repeat 2 --backend fake"])


def test_file_that_changes_on_the_host_is_non_deterministic(inner: Inner) -> None:
    inner.suite("""
        from fake_backend import host_clock

        def test_clock(network):
            network["h1"].write("/tmp/clock", host_clock())
            network["h1"].run(["cat", "/tmp/clock"])
    """)
    result = inner.run()
    assert result.ret == 1
    result.assert_outcomes(failed=1)
    case = inner.case()
    assert case["verdict"] == "non-deterministic"
    assert case["digest"] is None
    assert re.match(r"first difference: process 000-h1-cat: stdout differs at byte \d+ ", case["difference"])
    assert "capture h1-h2.h1: packet 0 differs (t = 0.001000000 s)" in case["difference"]
    assert {execution["folder"] for execution in case["executions"]} == {f"{case['folder']}/{n}" for n in (1, 2)}


def test_words_of_the_kernel_that_differ_are_non_deterministic(inner: Inner) -> None:
    inner.suite("""
        count = []

        def test_notice(network):
            count.append(1)
            network.recorder.kernel_log(f"2.000000 5 notice {len(count)}", 0)
    """)
    assert inner.run().ret == 1
    assert inner.case()["verdict"] == "non-deterministic"
    assert inner.case()["difference"] == (
        "first difference: the kernel's log differs at byte 18\n"
        "  execution 1: '2.000000 5 notice ' >>> '1\\n'\n"
        "  execution 2: '2.000000 5 notice ' >>> '2\\n'"
    )


def test_part_left_out_by_name_is_not_compared_and_shown(inner: Inner) -> None:
    inner.suite("""
        import pytest
        from fake_backend import host_clock

        @pytest.mark.digest_without("process:cat", "capture:h1-h2")
        def test_clock(network):
            network["h1"].write("/tmp/clock", host_clock())
            network["h1"].run(["cat", "/tmp/clock"])
    """)
    result = inner.run("--testbed-terminal")
    assert result.ret == 0
    assert inner.case()["left_out"] == ["capture:h1-h2.h1", "process:000-h1-cat"]
    result.stdout.fnmatch_lines(["PASS: TestSuite mini-suite *, 1 compared in part (digest_without)"])


def test_left_out_part_that_does_not_exist_is_an_error(inner: Inner) -> None:
    inner.suite("""
        import pytest

        @pytest.mark.digest_without("process:top")
        def test_it(network):
            network["h1"].run(["echo", "x"])
    """)
    assert inner.run().ret == 3
    assert inner.case()["reason"] == (
        "digest_without('process:top') names no part of the record; there are: "
        "capture:h1-h2.h1, commands, process:000-h1-echo"
    )


@pytest.mark.parametrize(
    ("word", "verdict", "code", "reason"),
    [
        ("panic", "crashed", 6, "the guest died: Kernel panic - not syncing: asked for"),
        ("hang", "timed out", 6, "the guest made no progress for 30 s; it was running 'hang' (pid 33)"),
        ("warn", "crashed", 6, "kernel warning: WARNING: CPU: 0 PID: 33 at net/ipv4/tcp.c:2900 tcp_close+0x1/0x2"),
        ("lose", "error", 3, "the capture ring lost 3 frames: the captures prove nothing"),
    ],
)
def test_disaster_gives_its_verdict(inner: Inner, word: str, verdict: str, code: int, reason: str) -> None:
    inner.suite(f"""
        def test_disaster(network):
            network["h1"].run(["{word}"])
    """)
    result = inner.run()
    assert (result.ret, inner.case()["verdict"], inner.case()["reason"]) == (code, verdict, reason)
    result.assert_outcomes(failed=1)
    assert f'name="verdict" value="{verdict}"' in (inner.run_dir / "junit.xml").read_text()


def test_kernel_warning_of_a_passing_test_shows_the_log(inner: Inner) -> None:
    inner.suite("""
        def test_disaster(network):
            network["h1"].run(["warn"])
    """)
    inner.run().stdout.fnmatch_lines(["crashed: kernel warning: *", "*kernel log*", "*cut here*", "*end trace*"])


def test_setup_error_is_an_error_of_the_harness(inner: Inner) -> None:
    inner.suite("""
        import pytest

        @pytest.mark.scenario("nowhere")
        def test_it(network):
            pass
    """)
    assert inner.run().ret == 3
    assert inner.case()["verdict"] == "error"
    assert inner.case()["reason"].startswith("no scenario 'nowhere'")


def test_skip_tells_its_reason_and_all_skipped_is_5(inner: Inner) -> None:
    inner.suite("""
        import pytest

        @pytest.mark.requires("netem", "sctp")
        def test_sctp(network):
            pass

        def test_by_hand(network):
            pytest.skip("not today")
    """)
    result = inner.run("-rs")
    result.assert_outcomes(skipped=2)
    assert result.ret == 5
    assert inner.case("sctp")["reason"] == "the kernel of backend 'fake' has no sctp"
    assert inner.case("hand")["reason"] == "not today"


def test_required_capability_turns_its_skip_into_an_error(inner: Inner) -> None:
    inner.suite("""
        import pytest

        @pytest.mark.requires("sctp")
        def test_sctp(network):
            pass
    """)
    result = inner.run("--require", "mptcp,sctp")
    assert (result.ret, inner.case()["verdict"]) == (3, "error")


SKIPS = """
    import pytest

    @pytest.mark.complete({release})
    @pytest.mark.requires("sctp")
    def test_marked(network):
        pass

    @pytest.mark.complete({release})
    def test_by_hand(network):
        pytest.skip("not today")
"""


def test_complete_kernel_turns_every_skip_into_an_error(inner: Inner) -> None:
    inner.suite(SKIPS.format(release="6, 12"))
    assert inner.run().ret == 3
    for name, reason in (("marked", "the kernel of backend 'fake' has no sctp"), ("hand", "not today")):
        said = f"skipped on testbed's own kernel 6.12.0-fake, which lacks nothing that this suite needs: {reason}"
        assert inner.case(name)["verdict"] == "error"
        assert inner.case(name)["reason"].startswith(said)


def test_older_or_other_kernel_may_lack_something(inner: Inner) -> None:
    inner.suite(SKIPS.format(release="6, 13"))
    assert inner.run().ret == 5
    assert {case["verdict"] for case in inner.document()["cases"]} == {"skipped"}


def test_backend_without_a_kernel_of_our_own_may_lack_something(inner: Inner) -> None:
    inner.suite(SKIPS.format(release="6, 12"))
    inner.run(backend="fake-real")
    assert {case["verdict"] for case in inner.document()["cases"]} == {"skipped"}


def test_xfail_is_no_failure_and_its_success_is(inner: Inner) -> None:
    inner.suite("""
        import pytest

        @pytest.mark.xfail(reason="known", strict=True)
        def test_known(network):
            assert False

        @pytest.mark.xfail(reason="known", strict=True)
        def test_cured(network):
            pass
    """)
    assert inner.run().ret == 1
    assert inner.case("known")["verdict"] == "xfailed"
    assert inner.case("cured")["verdict"] == "failed"


@pytest.mark.parametrize(
    ("body", "verdict", "code", "reason"),
    [
        pytest.param(
            'with pytest.raises(TestbedError): network["h1"].run(["panic"])',
            "crashed", 6, "the guest died: Kernel panic - not syncing: asked for", id="crash that the test catches",
        ),
        pytest.param(
            'network["h1"].recorder = network.recorder.kernel_log("... records were lost", 0)',
            "error", 3, "records of the kernel's log were lost: it may have complained", id="kernel log with a gap",
        ),
        pytest.param(
            "network.down = lambda: None",
            "error", 3, "the network was never taken down: its kernel may have complained", id="network left up",
        ),
        pytest.param(
            "count.append(1); len(count) < 2 or pytest.skip('not twice')",
            "non-deterministic", 1, "executions ended differently: passed, skipped", id="second execution skipped",
        ),
        pytest.param(
            "count.append(1); len(count) < 2 or pytest.xfail('not twice')",
            "non-deterministic", 1, "executions ended differently: passed, xfailed", id="second execution xfailed",
        ),
    ],
)  # fmt: skip
def test_what_a_test_hides_is_no_pass(inner: Inner, body: str, verdict: str, code: int, reason: str) -> None:
    inner.suite(f"""
        import pytest
        from testbed.errors import TestbedError

        count = []

        def test_hides(network):
            {body}
    """)
    result = inner.run()
    case = inner.case()
    assert (result.ret, case["verdict"], case["reason"]) == (code, verdict, reason)
    assert inner.document()["verdict"] == verdict
    result.assert_outcomes(failed=1)


# A bug of the test's own (raised outside of testbed) may be expected; the death of a guest may not.
@pytest.mark.parametrize(("word", "verdict", "code"), [("panic", "crashed", 6), ("oops", "xfailed", 0)])
def test_xfail_does_not_cover_a_crash(inner: Inner, word: str, verdict: str, code: int) -> None:
    inner.suite(f"""
        import pytest

        @pytest.mark.xfail(reason="known")
        def test_known(network):
            network["h1"].run(["{word}"])
    """)
    result = inner.run()
    assert (result.ret, inner.case()["verdict"]) == (code, verdict)


def test_second_execution_without_a_network_is_no_pass(inner: Inner) -> None:
    inner.suite("""
        import pytest
        from testbed.harness.execution import KEY

        count = []

        @pytest.fixture
        def network(request):
            count.append(1)
            if len(count) > 1:
                yield None
                return
            up = request.node.stash[KEY].bring_up(request.getfixturevalue("topology"))
            yield up
            up.down()

        def test_it(network):
            pass
    """)
    assert inner.run().ret == 1
    assert inner.case()["reason"] == "executions ended differently: passed, passed without a record"


def test_setup_alone_is_no_pass(inner: Inner) -> None:
    inner.suite(PASSING)
    assert inner.run("--setup-only").ret == 5
    assert inner.case()["verdict"] == "not run"


def test_everything_left_out_is_an_error(inner: Inner) -> None:
    inner.suite("""
        import pytest

        @pytest.mark.digest_without("*")
        def test_it(network):
            network["h1"].run(["echo", "x"])
    """)
    assert inner.run().ret == 3
    assert inner.case()["reason"] == (
        "digest_without(...) leaves out every part of the record: nothing would be compared"
    )


def test_capability_that_no_kernel_has_is_an_error_and_no_skip(inner: Inner) -> None:
    inner.suite("""
        import pytest

        @pytest.mark.requires("mtpcp")
        def test_it(network):
            pass
    """)
    assert inner.run().ret == 3
    assert inner.case()["reason"] == "requires('mtpcp'): no such capability; did you mean 'mptcp'?"


def test_exit_asked_for_by_a_test_is_no_success(inner: Inner) -> None:
    inner.suite("""
        import pytest

        def test_a(network):
            pass

        def test_b(network):
            pytest.exit("enough", returncode=0)
    """)
    assert inner.run().ret == 1
    assert inner.case("test_b")["verdict"] == "not run"


def test_module_that_cannot_be_collected_is_in_the_verdict_of_the_run(inner: Inner) -> None:
    inner.suite(PASSING)
    inner.suite("import nothing_of_this_name", file="test_broken.py")
    assert inner.run("--continue-on-collection-errors").ret == 3
    assert inner.case("test_ok")["verdict"] == "passed"
    assert inner.document()["verdict"] == "error"


def test_teardown_that_fails_after_a_skip_is_an_error(inner: Inner) -> None:
    inner.suite("""
        import pytest

        @pytest.fixture(scope="module")
        def wide():
            yield
            raise OSError("too late")

        def test_it(network, wide):
            pytest.skip("after one execution")
    """)
    assert inner.run().ret == 3
    assert (inner.case()["verdict"], inner.case()["reason"]) == ("error", "OSError: too late")


def test_fixtures_of_a_module_live_on_and_those_of_a_case_do_not(inner: Inner) -> None:
    inner.suite("""
        import pytest

        made = []

        @pytest.fixture(scope="module")
        def wide():
            made.append("wide")

        @pytest.fixture
        def narrow():
            made.append("narrow")

        def test_one(network, wide, narrow):
            pass

        def test_two(network, wide, narrow):
            pytest.skip("after one execution")

        def test_three(wide):
            assert made == ["wide", "narrow", "narrow", "narrow"]
    """)
    inner.run().assert_outcomes(passed=2, skipped=1)


def test_real_time_backend_executes_once_and_refuses_to_compare(inner: Inner) -> None:
    inner.suite("""
        import pytest

        def test_short(network):
            network["h1"].run(["echo", "x"])

        @pytest.mark.real_time_budget(100_000)
        def test_long(network):
            pass
    """)
    assert inner.run(backend="fake-real").ret == 0
    assert len(inner.case("short")["executions"]) == inner.document()["repeat"] == 1
    assert inner.case("long")["reason"] == (
        "would take 27.8 hours of real time on backend 'fake-real'; the limit is 60 seconds (--real-time-limit)"
    )
    inner.run_dir = inner.run_dir.with_name("other")
    result = inner.run("--repeat", "2", backend="fake-real")
    assert result.ret == 7
    assert "does not promise identical bits" in result.stdout.str() + result.stderr.str()


def test_run_folder_that_is_not_empty_is_refused_and_kept(inner: Inner) -> None:
    inner.suite(PASSING)
    inner.run_dir.mkdir()
    (inner.run_dir / "precious").write_text("mine")
    result = inner.run()
    assert result.ret == 4
    result.stderr.fnmatch_lines(
        [f"*the run folder {inner.run_dir} exists and is not empty; nothing in it was touched*"]
    )
    assert [path.name for path in inner.run_dir.iterdir()] == ["precious"]


def test_session_without_networks_leaves_no_run(inner: Inner) -> None:
    inner.pytester.makepyfile(test_plain="def test_plain(): pass")
    assert inner.pytester.runpytest_inprocess("-p", "no:cacheprovider").ret == 0
    assert not (inner.pytester.path / "testbed-runs").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--libos", "linus"], "unknown flavor 'linus'"),
        (["--libos", "suites"], "the kernel suites/linux is no program"),
        (["--require", "mptcp,mtpcp"], "--require mtpcp: no such capability; did you mean 'mptcp'?"),
    ],
)
def test_name_that_does_not_exist_is_refused_before_anything_runs(inner: Inner, words: list[str], message: str) -> None:
    inner.suite(PASSING)
    result = inner.run(*words)
    assert result.ret == 4
    result.stderr.fnmatch_lines([f"*{message}*"])
    assert not inner.run_dir.exists()


def test_seed_without_a_network_says_what_is_missing(inner: Inner) -> None:
    inner.suite("def test_it(seed): pass")
    result = inner.run()
    assert result.ret == 3
    result.stdout.fnmatch_lines(["*test_it asks for 'seed' without the fixture 'network' among its arguments*"])


def test_every_capability_of_the_agent_is_known() -> None:
    source = (package_dir() / "agent/src/capability.rs").read_text()
    found = re.findall(r'\("(\w+)", libc::|found\.push\("(\w+)"\)', source)
    assert {one or other for one, other in found} == CAPABILITIES
