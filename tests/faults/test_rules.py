"""The rules of store.py about refs and the life of versions have teeth: a sound folder breaks none of them, and each lie that is
written into a copy of its database is seen."""

import contextlib
import shutil
import sqlite3

import pytest

import scene
from scenarios import DeletePurge, MoveRef
from store import Promises, check_folder


@pytest.fixture(scope="module")
def sound():
    """A data folder with moved and deleted refs and a purged version, and what was promised of it."""
    with scene.Place() as place:
        yield make(place)


def make(place):
    class Bench:
        n, promises, daemon = 1, Promises(), place.daemon("rules").start()

    bench = Bench()
    bench.place = place
    MoveRef.prepare(bench)
    for scenario in (MoveRef, DeletePurge):
        scenario(bench, "x", lambda: None).run()
    bench.daemon.stop()
    assert check_folder(bench.daemon.data, bench.promises) == []
    assert len(bench.promises.moves) == 5 and len(bench.promises.purged) == 1
    return bench


LIES = {
    "a ref moved without a word": ("UPDATE ref SET version = (SELECT max(id) FROM version WHERE model = ref.model) WHERE name = 'x'", "its history ends"),
    "a move that is lost": ("DELETE FROM ref_move WHERE name = 'x' AND kind = 'rollback'", "is lost"),
    "a revision given twice": ("UPDATE ref_move SET rev = 1 WHERE name = 'x'", "comes after"),
    "a rollback to elsewhere": ("UPDATE ref_move SET to_version = from_version WHERE kind = 'rollback'", "the stack is"),
    "a ref without a history": ("DELETE FROM ref_move WHERE name = 'x'", "has no history"),
    "a version without a file": ("DELETE FROM file WHERE version = (SELECT max(version) FROM file)", "lives with 0 of"),
    "a purge that did not happen": ("UPDATE version SET gone_at = NULL WHERE gone_at IS NOT NULL", "told to be purged"),
    "a ref on what was deleted": ("UPDATE version SET deleted_at = 1 WHERE id = (SELECT version FROM ref WHERE name = 'x')", "was deleted"),
}  # fmt: skip


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_seen(sound, tmp_path, lie):
    sql, seen = LIES[lie]
    shutil.copytree(sound.daemon.data, tmp_path / "data")
    with contextlib.closing(sqlite3.connect(tmp_path / "data/amendd.db")) as db:
        db.execute("PRAGMA foreign_keys = OFF")
        for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            db.execute(f'DROP TRIGGER "{name}"')
        db.execute(sql)
        db.commit()
    found = check_folder(tmp_path / "data", sound.promises)
    assert any(seen in f for f in found), found
