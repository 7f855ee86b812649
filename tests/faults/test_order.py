"""What must come before what, read from the record of a real run: the proof that no kill can give, since a kill keeps the
page cache. Each test is what catches a mutant of tests/faults/mutants (mutants.py)."""

import errno
import re

import pytest

import scene
from recording import Inject, read
from store import check_folder


class Life:
    """One daemon with the recorder: models registered, jobs run one after the other."""

    def __init__(self, place, jobs=4):
        self.folder, self.answers, self.submits = place.folder("records"), [], []
        self.daemon = place.daemon("data", "--workers.count=1", env={"AMEND_RECORD": str(self.folder)}).start()
        c = self.daemon.client
        for name in ("a", "b"):
            c.register(place.models / name, f"t/{name}")
        for i in range(jobs):
            self.submits.append(scene.now())
            uid = c.submit(scene.blend("t/out", 1.0 + i))
            self.answers.append(scene.now())
            assert c.wait(uid)["status"] == "succeeded"
        self.daemon.kill()
        scene.wait_gone(self.daemon.data)
        self.records = read(self.folder)
        self.data = str(self.daemon.data)

    def moves(self):
        """[(index, record)] of each file that came into the store."""
        found = [(i, r) for i, r in enumerate(self.records) if r.op == "rename" and f"{self.data}/blobs/" in r.other]
        assert len(found) >= 6, "the weights of each job and of the registered models come into the store"
        return found

    def is_wal(self, r):
        return r.name.endswith("amendd.db-wal")

    def index(self, after, match):
        return next((i for i in range(after, len(self.records)) if match(self.records[i])), len(self.records))


@pytest.fixture
def life(place):
    return Life(place)


def test_log_is_synced_before_the_202(life):
    for began, ended in zip(life.submits, life.answers, strict=True):
        between = [r for r in life.records if began < r.time < ended]
        synced = [r for r in between if r.op == "sync" and life.is_wal(r)]
        assert synced, "between a submit and its 202 the log of the database was not synced"
        inode = synced[0].inode
        assert any(r.op == "write" and r.inode == inode and r.time < synced[-1].time for r in between)


def test_file_is_synced_before_its_rename(life):
    for i, move in life.moves():
        before = [r for r in life.records[:i] if r.inode == move.inode and r.op in ("write", "size", "sync")]
        assert before and before[-1].op == "sync", f"{move.name} was moved into the store without a sync of its last byte"


def test_folder_is_synced_before_the_row(life):
    for i, move in life.moves():
        folder = move.other.rpartition("/")[0]
        synced = life.index(i, lambda r, f=folder: r.op == "syncdir" and r.name == f)
        row = life.index(i, lambda r: r.op == "sync" and life.is_wal(r))
        assert synced < row, f"{folder} was not synced between the rename into it and the next commit"
    made = [(i, r) for i, r in enumerate(life.records) if r.op == "mkdir" and f"{life.data}/blobs/" in r.name]
    assert made
    for i, r in made:
        synced = life.index(i, lambda s: s.op == "syncdir" and s.name == f"{life.data}/blobs")
        row = life.index(i, lambda s: s.op == "sync" and life.is_wal(s))
        assert synced < row, f"blobs/ was not synced after {r.name} was made"


def test_row_comes_after_the_renames(life):
    """The digest stands in the log only after its file is in the store."""
    wal = {r.inode for r in life.records if r.op == "sync" and life.is_wal(r)}
    for i, move in life.moves():
        digest = bytes.fromhex(move.other.rpartition("/")[2])
        first = life.index(0, lambda r, d=digest: r.inode in wal and d in r.data)
        assert first > i, f"the row of {move.other} was written before the file was there"


def test_file_is_not_written_after_its_sync(life):
    for i, move in life.moves():
        assert not [r for r in life.records[i:] if r.inode == move.inode and r.op == "write" and not r.data]


@pytest.mark.parametrize("call", ["write", "pwrite64"])
def test_short_write_is_continued(place, call):
    """A write that takes only half its bytes is no end: what is published is whole."""
    inject = place.inject()
    d = place.daemon("data", "--workers.count=1", env={"AMEND_INJECT": str(inject.path)}).start()
    c, hit = d.client, 0
    c.register(place.models / "a", "t/a")
    c.register(place.models / "b", "t/b")
    reference = c.files(c.run(scene.blend("t/whole", 3.0)))
    for k in range(1, 60):
        inject.arm(call, Inject.SHORT, k)
        job = c.wait(c.submit(scene.blend(f"t/{call}{k}", 3.0)))
        _, fired = inject.disarm()
        hit += fired
        if not fired:
            break
        assert job["status"] == "succeeded", job["error"]
        version = job["result"]["version"]
        files = c.files(f"{version['model']}@{version['commit']}")
        assert files["model.safetensors"]["sha256"] == reference["model.safetensors"]["sha256"]
    d.stop()
    assert hit >= 1, "no write was shortened"
    assert check_folder(d.data) == []


def test_failed_sync_is_final(place):
    """After a sync that failed, the kernel may have dropped the pages and marked them clean: a second sync would lie. The
    file is thrown away and the attempt fails."""
    inject, folder = place.inject(), place.folder("records")
    d = place.daemon(
        "data", "--workers.count=1", env={"AMEND_INJECT": str(inject.path), "AMEND_RECORD": str(folder)}
    ).start()
    c, hit = d.client, 0
    c.register(place.models / "a", "t/a")
    c.register(place.models / "b", "t/b")
    for k in range(1, 60):
        inject.arm("fsync", errno.EIO, k)
        job = c.wait(c.submit(scene.blend(f"t/f{k}", 3.0 + k)))
        _, fired = inject.disarm()
        if not fired:
            break
        hit += 1
        assert job["status"] == "failed" or job["attempt"] > 1, "a job whose sync failed was published at the first attempt"
    d.kill()
    scene.wait_gone(d.data)
    records = read(folder)
    failures = [(i, r) for i, r in enumerate(records) if r.op == "syncfail"]
    assert hit >= 5 and len(failures) == hit, "each file and each folder of a publication was hit"
    for i, failure in failures:
        if re.search(r"/blobs(/..)?$", failure.name):
            continue  # a folder: the next publication into it syncs it again, and must
        later = next((r for r in records[i + 1 :] if r.inode == failure.inode and r.op in ("create", "sync")), None)
        assert later is None or later.op == "create", f"{failure.name} was synced again after a sync of it had failed"
    assert check_folder(d.data) == []
