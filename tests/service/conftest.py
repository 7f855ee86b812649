"""Fixtures: one daemon for a module (`daemon`, `client`), or any number of own ones for a test (`launch`)."""

import gc
import os
import random

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy: its threads wait for each other on a busy machine

import pytest

import harness

# The files that take longest. xdist gives a file to one process (its daemon and its models are made once), and one of these
# at the end would leave the others idle.
LONG = (
    "test_queue test_merge_property test_tasks test_openapi test_method_file test_documents test_durable test_mnist "
    "test_plans test_unkillable test_spans test_schedule test_lifecycle test_idempotency test_fresh test_merge_whole"
).split()

SEED = int(os.environ.get("AMEND_TEST_SEED", random.SystemRandom().randrange(1 << 32)))


def pytest_collection_finish(session):
    # What is there now stays; looking through it again and again is a tenth of a run's time.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def pytest_configure(config):
    # One seed for the whole run, so that xdist's processes collect and draw the same.
    os.environ.setdefault("AMEND_TEST_SEED", str(SEED))


def pytest_report_header(config):
    return f"amend: build {harness.BUILD}, AMEND_TEST_SEED={os.environ['AMEND_TEST_SEED']}"


def pytest_collection_modifyitems(config, items):
    missing = [p for p in ("amendd", "amend-worker", "amend") if not (harness.BUILD / p).exists()]
    if missing and not config.option.collectonly:
        pytest.exit(f"{harness.BUILD} holds no {', '.join(missing)}: run make first, or set AMEND_BUILD", 2)
    items.sort(key=lambda i: LONG.index(i.path.stem) if i.path.stem in LONG else len(LONG))
    # Without a sanitizer only: its search for leaks traces the process itself, which strace does already, and its memory
    # is none of a job.
    marks = ("traced", "weighed") if harness.SANITIZED else ()
    apart = [i for i in items if any(i.get_closest_marker(m) for m in marks)]
    config.hook.pytest_deselected(items=apart)
    items[:] = [i for i in items if i not in apart]


@pytest.fixture
def seed(request):
    """A number of this test's own, derived from the seed of the run; shown with a failure."""
    value = random.Random(f"{os.environ['AMEND_TEST_SEED']}/{request.node.nodeid}").randrange(1 << 32)
    print(f"seed {value} (AMEND_TEST_SEED={os.environ['AMEND_TEST_SEED']})")
    return value


@pytest.fixture(scope="module")
def roots(tmp_path_factory):
    """A folder that the daemon may register from."""
    return tmp_path_factory.mktemp("roots")


@pytest.fixture(scope="module")
def daemon(tmp_path_factory, roots):
    d = harness.Daemon(tmp_path_factory.mktemp("store") / "data", [roots]).start()
    yield d
    d.stop()


@pytest.fixture(scope="module")
def client(daemon):
    return daemon.client


@pytest.fixture
def launch(tmp_path, roots):
    """launch(*flags, name="data", prefix=[...]) starts another daemon; all are stopped and checked at the end."""
    started = []

    def start(*args, name="data", prefix=(), env=None, root=None):
        d = harness.Daemon(tmp_path / name, [root or roots], args=args, prefix=prefix, env=env)
        started.append(d)
        return d.start()

    yield start
    failures = []
    for d in started:
        try:
            d.stop()
        except AssertionError as e:
            failures.append(str(e))
    assert not failures, "\n".join(failures)
