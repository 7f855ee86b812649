"""What the daemon does by itself: scrubs and backups, when they are due and not before, and no differently after a
restart. Time passes here by moving the stored times into the past while no daemon runs."""

import os
import sqlite3
import time

import numpy as np
import pytest

import harness
import reference as ref
from harness import problem

HOUR = 3600 * 1000
DAY = 24 * HOUR
LOOK = 6  # seconds: the first look comes 3 s after the start


@pytest.fixture
def store(launch, roots):
    """A stopped daemon whose store holds three models, of some 8, 12 and 16 KB."""
    d = launch("--workers.count=1")
    for i in range(3):
        values = np.random.default_rng(i).standard_normal(2000 + 1000 * i).astype("<f4")
        d.client.register(ref.write(roots / f"sched{i}", {"w": ref.tensor("F32", values)}), f"s/m{i}")
    d.stop()
    return d


def restart(d, *flags, log=[0]):
    log[0] += 1
    new = harness.Daemon(d.data, d.roots, args=["--workers.count=1", *flags], log=f"{d.data}.{log[0]}.log")
    return new.start()


def tasks(c, kind):
    """Newest first."""
    return [j for j in c.all("/v1/jobs?type=task&limit=100") if j["method"] == kind]


def one_task(c, kind, others=0):
    deadline = time.monotonic() + LOOK + 10
    while len(found := tasks(c, kind)) <= others:
        assert time.monotonic() < deadline, f"no {kind} came"
        time.sleep(0.1)
    assert len(found) == others + 1
    return c.wait(found[0]["id"])


def age(d, **blobs):
    """Blobs by their length, in the order of their age: they came so many days ago."""
    for sha, days in blobs.items():
        d.sql("UPDATE blob SET created_at = created_at - ? WHERE lower(hex(sha256)) = ?", days * DAY, sha)


def weights(d):
    return [r[0] for r in d.sql("SELECT lower(hex(sha256)) FROM blob WHERE bytes > 8000 ORDER BY bytes")]


def read_since(d, when):
    return {r[0] for r in d.sql("SELECT lower(hex(sha256)) FROM blob WHERE verified_at >= ?", when)}


@pytest.mark.slow
def test_a_new_store_is_left_alone(launch, roots):
    d = launch("--database.backup_hours=1", "--store.scrub_days=1")
    d.client.register(ref.write(roots / "new", {"w": ref.tensor("F32", [1, 2, 3])}), "s/new")
    time.sleep(LOOK)
    assert tasks(d.client, "scrub") == tasks(d.client, "backup") == []
    assert not (d.data / "backup").exists()


@pytest.mark.slow
def test_a_scrub_reads_its_share_and_goes_on_after_a_restart(store):
    d, began = store, int(time.time() * 1000)
    small, middle, large = weights(d)
    age(d, **{small: 16, middle: 20, large: 18})
    one = restart(d, "--store.scrub_days=30", "--database.backup_hours=0")
    job = one_task(one.client, "scrub")
    assert job["status"] == "succeeded" and job["warnings"] == [], job
    # an hour is 1/360 of half of thirty days, and so much of the store is less than any of these
    result = job["result"]
    assert (result["kind"], result["blobs"], result["damaged"], result["assembled"]) == ("scrub", 1, [], 0)
    assert job["resolved"]["scheduled"] is True and 0 < job["resolved"]["budget_bytes"] < 1000
    one.stop()
    assert read_since(d, began) == {middle}
    # the same hour again, and after an hour the next
    two = restart(d, "--store.scrub_days=30", "--database.backup_hours=0")
    time.sleep(LOOK)
    assert len(tasks(two.client, "scrub")) == 1
    two.stop()
    d.sql("UPDATE job SET created_at = created_at - ? WHERE method = 'scrub'", 2 * HOUR)
    three = restart(d, "--store.scrub_days=30", "--database.backup_hours=0")
    again = one_task(three.client, "scrub", others=1)
    assert again["result"]["blobs"] == 1 and again["resolved"]["budget_bytes"] > 1.9 * job["resolved"]["budget_bytes"]
    three.stop()
    assert read_since(d, began) == {middle, large}
    # all is read within half of the time, and then nothing is due
    d.sql("UPDATE job SET created_at = created_at - ? WHERE method = 'scrub'", 2 * HOUR)
    four = restart(d, "--store.scrub_days=30", "--database.backup_hours=0")
    one_task(four.client, "scrub", others=2)
    asked = four.client.post("/v1/admin/tasks", {"kind": "scrub"}).json()
    assert four.client.wait(asked["id"])["result"]["blobs"] == 0
    four.stop()
    assert read_since(d, began) == {small, middle, large}


def test_a_scrub_finds_damage(store):
    d = store
    small, *_ = weights(d)
    age(d, **{small: 16})
    path = d.data / "blobs" / small[:2] / small
    os.chmod(path, 0o640)
    with open(path, "r+b") as f:
        f.seek(5000)
        f.write(b"\xff\x00\xff")
    new = restart(d, "--database.backup_hours=0")  # thirty days are the default
    job = one_task(new.client, "scrub")
    (found,) = job["result"]["damaged"]
    assert found["blob"] == small and found["reason"] == "sha256" and found["versions"][0].startswith("s/m0@")
    assert job["warnings"][0]["code"] == "store-damaged"
    problem(new.client.get("/v1/models/s/m0/versions/v1/files/model.safetensors/content"), 500, "store-damaged")
    new.stop()


@pytest.mark.slow
def test_no_scrub(store):
    d = store
    age(d, **{sha: 4000 for sha in weights(d)})
    new = restart(d, "--store.scrub_days=0", "--database.backup_hours=0")
    doc = problem(new.client.post("/v1/admin/tasks", {"kind": "scrub"}), 422, "invalid-params")
    assert "store.scrub_days is 0" in doc["errors"][0]["detail"] and doc["errors"][0]["pointer"] == "#/kind"
    time.sleep(LOOK)
    assert tasks(new.client, "scrub") == []
    new.stop()


@pytest.mark.slow
def test_backups_by_themselves(store, tmp_path):
    d = store
    d.sql("UPDATE job SET created_at = created_at - ?", 25 * HOUR)
    folder = d.data / "backup"
    folder.mkdir()
    old = [f"scheduled-20200{i}01T000000000Z.db" for i in (1, 2, 3)]
    for name in (*old, "mine.db", "20200101T000000000Z.db", "scheduled-notes.txt"):
        (folder / name).write_text("not to be read")
    one = restart(d, "--database.backup_keep=2")
    job = one_task(one.client, "backup")
    assert job["status"] == "succeeded" and job["result"]["removed"] == 2, job
    name = os.path.basename(job["result"]["target"])
    assert sorted(os.listdir(folder)) == sorted(
        [old[2], name, "mine.db", "20200101T000000000Z.db", "scheduled-notes.txt"]
    )
    # one that people ask for is theirs: it counts for nothing and is never removed
    asked = one.client.wait(one.client.post("/v1/admin/tasks", {"kind": "backup"}).json()["id"])
    assert not os.path.basename(asked["result"]["target"]).startswith("scheduled-") and asked["result"]["removed"] == 0
    one.stop()
    copy = sqlite3.connect(f"file:{folder / name}?mode=ro", uri=True)
    assert copy.execute("SELECT count(*) FROM version WHERE number = 1").fetchall() == [(3,)]
    copy.close()
    # no second one within the hours, also not after a restart; the next one when they have passed
    two = restart(d, "--database.backup_keep=2")
    time.sleep(LOOK)
    assert len(tasks(two.client, "backup")) == 2
    two.stop()
    d.sql("UPDATE job SET created_at = created_at - ?", 25 * HOUR)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    three = restart(d, f"--database.backup_dir={elsewhere}")
    job = one_task(three.client, "backup", others=2)
    assert os.path.dirname(job["result"]["target"]) == str(elsewhere) and os.listdir(elsewhere)
    three.stop()


def test_a_backup_that_cannot_be_made_is_told(store, tmp_path):
    d = store
    d.sql("UPDATE job SET created_at = created_at - ?", 25 * HOUR)
    new = restart(d, f"--database.backup_dir={tmp_path}/nowhere")
    time.sleep(LOOK)
    assert tasks(new.client, "backup") == [] and "no backup: " in new.log() and "nowhere" in new.log()
    assert new.client.ok("/livez")
    new.stop()
    for flag, said in (
        ("--database.backup_dir=relative", "database.backup_dir must be an absolute path"),
        ("--database.backup_keep=0", "database.backup_keep must be a whole number from 1 to 1000"),
        ("--publish.verify=some", "publish.verify must be trust or full"),
    ):
        with pytest.raises(harness.StartError) as e:
            restart(d, flag)
        assert said in e.value.log
