"""A store that an older amendd left behind opens, and its rows are there."""

import shutil
import sqlite3
from pathlib import Path

import pytest

STORED = sorted(p for p in (Path(__file__).parent / "data").glob("db_v*") if p.suffix in (".sql", ".sqlite", ".db"))


def place(stored, data):
    """The database file that `stored` stands for, in a new data folder."""
    data.mkdir(parents=True)
    target = data / "amendd.db"
    if stored.suffix == ".sql":
        with sqlite3.connect(target) as db:
            db.executescript(stored.read_text())
        db.close()
    else:
        shutil.copyfile(stored, target)
    return target


def query(path, sql):
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return db.execute(sql).fetchall()
    finally:
        db.close()


def test_there_is_a_stored_database():
    assert STORED, "tests/service/data holds no db_v*: the first schema was never stored"


@pytest.mark.parametrize("stored", STORED, ids=lambda p: p.name)
def test_an_old_store_opens(stored, tmp_path, roots, launch):
    path = place(stored, tmp_path / "data")
    before = int("".join(c for c in stored.stem if c.isdigit()))
    assert query(path, "PRAGMA user_version") == [(before,)]
    versions = query(
        path, "SELECT m.name, lower(hex(v.oid)), v.number, v.message FROM version v JOIN model m ON m.id = v.model"
    )
    jobs = query(path, "SELECT count(*) FROM job WHERE type <> 'task'")[0][0]
    events = query(path, "SELECT seq, type FROM job_event ORDER BY seq")
    assert len(versions) >= 2 and jobs >= 1, "the stored database is too empty to prove anything"
    # its times are long ago and its files not here
    d = launch("--store.scrub_days=0", "--database.backup_hours=0", "--events.keep_days=36500")
    c = d.client
    assert {m["id"] for m in c.all("/v1/models?limit=100")} == {name for name, *_ in versions}
    for name, commit, number, message in versions:
        version = c.version(f"{name}@{commit}")
        assert (version["commit"], version["number"], version["message"]) == (commit, number, message)
        files = c.files(f"{name}@{commit}")
        assert len(files) == version["files"]
    # not by the client, which holds jobs to the OpenAPI document: these rows were written by hand, with plans like {}
    found = c.session.get(c.url + "/v1/jobs?limit=100").json()["data"]
    assert len(found) == jobs
    got = [(e["seq"], e["type"]) for e in c.ok("/v1/events?limit=100")["data"]]
    assert events and got[: len(events)] == events  # those of merges keep their numbers and words
    subjects = {e["subject"] for e in c.ok("/v1/events?topic=jobs&limit=100")["data"]}
    assert subjects <= {j["id"] for j in found}
    d.stop()
    assert query(path, "PRAGMA integrity_check") == [("ok",)]
    assert query(path, "PRAGMA foreign_key_check") == []
    after = query(path, "PRAGMA user_version")[0][0]
    assert after >= before
    if after > before:
        assert (tmp_path / "data" / f"amendd.db.v{before}.backup").exists(), "no copy of the old database was kept"


def test_a_newer_store_is_refused(tmp_path, roots, launch):
    import harness

    d = launch(name="new")
    d.stop()
    path = d.data / "amendd.db"
    db = sqlite3.connect(path)
    version = db.execute("PRAGMA user_version").fetchone()[0]
    db.execute(f"PRAGMA user_version = {version + 1}")
    db.commit()
    db.close()
    with pytest.raises(harness.StartError) as e:
        harness.Daemon(d.data, [roots], log=tmp_path / "newer.log").start()
    assert e.value.code == 1 and str(version + 1) in e.value.log, e.value.log
