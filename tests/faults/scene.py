"""A place for fault tests: models on a RAM disk, a daemon of the fault build with its environment, small requests."""

import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
os.environ.setdefault("AMEND_BUILD", str(HERE.parents[1] / "build/fault"))
sys.path.insert(0, str(HERE.parent / "service"))

import numpy as np  # noqa: E402

import harness  # noqa: E402
import reference as ref  # noqa: E402
from harness import merge, sparsify  # noqa: E402

from recording import Inject  # noqa: E402

RAM = Path("/dev/shm")


class Place:
    """A folder with models to register; removed at the end."""

    def __init__(self):
        self.path = Path(tempfile.mkdtemp(prefix="amend-faults-", dir=RAM if os.access(RAM, os.W_OK) else None))
        self.models = self.path / "models"
        self.models.mkdir()
        self.daemons = []
        self.write("a", {"w": ref.tensor("F32", np.arange(600)), "v": ref.tensor("F32", np.ones(40))})
        self.write("b", {"w": ref.tensor("F32", np.arange(600) * 2.0), "v": ref.tensor("F32", np.zeros(40))})
        self.write("s", {f"t{i}": ref.tensor("F32", np.arange(300) + i) for i in range(4)}, shards=2)

    def write(self, name, tensors, shards=1):
        return ref.write(self.models / name, tensors, shards=shards)

    def folder(self, name):
        path = self.path / name
        path.mkdir(parents=True)
        return path

    def daemon(self, name, *args, env=None, prefix=()):
        d = harness.Daemon(self.path / name, [self.models], args=args, env=env or {}, prefix=prefix)
        self.daemons.append(d)
        return d

    def inject(self):
        return Inject(self.path / f"inject-{os.urandom(4).hex()}")

    def close(self):
        """A test that failed leaves its daemon running."""
        for d in self.daemons:
            if d.process and d.process.poll() is None:
                d.process.kill()
                d.process.wait()
        shutil.rmtree(self.path, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()


def now():
    """The clock of the records."""
    return time.monotonic_ns()


def blend(into, weight=1.0, models=("t/a", "t/b"), **options):
    return merge("linear", [(m, {"weight": weight if i == 0 else 1.0}) for i, m in enumerate(models)], into, **options)


def prune(into, model="t/a", sparsity=0.5, **params):
    return sparsify(model, into, {"sparsity": sparsity, **params})


def wait_gone(data, seconds=3):
    """Until no process has a file of `data` open: workers die with their daemon, a moment later."""
    until = time.monotonic() + seconds
    while harness.processes_with(data) and time.monotonic() < until:
        time.sleep(0.002)
    return not harness.processes_with(data)
