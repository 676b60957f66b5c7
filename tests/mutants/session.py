"""One pytest session on the package in a folder: python -m tests.mutants.session FOLDER [OPTION ...] NODE ...

The exit code is 0 if all tests pass, 1 if every named test fails with an assertion, and 2 if only some of them do. It
is 3 for everything else: another exception, a test that is skipped or does not exist, a package from another folder.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest


class Results:
    """A plugin that records which tests fail with an assertion, and everything that is no assertion."""

    def __init__(self) -> None:
        self.failed: set[str] = set()
        self.passed: set[str] = set()
        self.errors: list[str] = []

    def pytest_exception_interact(
        self, node: pytest.Item, call: pytest.CallInfo[object], report: pytest.TestReport
    ) -> None:
        """Record an exception that is no assertion."""
        assert call.excinfo is not None
        if report.when != "call" or not isinstance(call.excinfo.value, (AssertionError, pytest.fail.Exception)):
            self.errors.append(f"{node.nodeid}: {call.excinfo.exconly()}")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Record the outcome of a test."""
        if report.when == "call" and not report.skipped:
            (self.failed if report.failed else self.passed).add(report.nodeid)


def is_named(node: str, test: str) -> bool:
    """Whether a node is the test of this name, or one of its parameter sets."""
    return node == test or node.startswith(f"{test}[")


def exit_code(results: Results, tests: list[str]) -> int:
    """Exit code of a session that has run the `tests`."""
    ran = results.failed | results.passed
    problems = results.errors + [f"{test} did not run" for test in tests if not any(is_named(n, test) for n in ran)]
    if problems:
        print(*problems, sep="\n")
        return 3
    passed = [test for test in tests if not any(is_named(node, test) for node in results.failed)]
    if not results.failed:
        return 0
    print(*(f"{test} passes" for test in passed), sep="\n")
    return 2 if passed else 1


def main(arguments: list[str]) -> int:
    """Exit code of the session, as in the module's docstring."""
    source, *words = arguments
    import forebay

    package = Path(forebay.__file__).parent
    if package.parent != Path(source).resolve():
        print(f"forebay is imported from {package}, not from {source}")
        return 3
    tests = [word for word in words if "::" in word]
    results = Results()
    code = pytest.main([*words, "-q", "-p", "no:cacheprovider"], plugins=[results])
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        return 3
    return exit_code(results, tests)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
