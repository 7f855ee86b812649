"""The fixture of the fault tests: a place on a RAM disk. They need the fault build: make VARIANT=fault."""

import os

import pytest

import scene


def pytest_collection_modifyitems(config, items):
    if not config.option.collectonly and b"AMEND_FAILPOINT" not in (scene.harness.BUILD / "amendd").read_bytes():
        pytest.exit(f"{scene.harness.BUILD} has no failpoints: run make VARIANT=fault, or set AMEND_BUILD", 2)


@pytest.fixture
def place():
    with scene.Place() as p:
        yield p


@pytest.fixture(scope="session", autouse=True)
def quick_timeouts():
    os.environ.setdefault("NO_PROXY", "127.0.0.1")
