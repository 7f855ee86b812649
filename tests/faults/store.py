"""The invariants of a data folder, checked without the daemon: SQLite and hashes, nothing else."""

import contextlib
import hashlib
import shutil
import sqlite3
import tempfile


class Promises:
    """What clients were told; all of it must be true of every later state."""

    def __init__(self):
        self.jobs, self.versions, self.cancelled, self.succeeded = set(), set(), set(), set()
        self.moves = set()  # (model, ref, its revision after the move, commit; None: the ref was deleted)
        self.deleted, self.purged = set(), set()  # (model, commit)

    def copy(self):
        other = Promises()
        for name, value in vars(self).items():
            setattr(other, name, set(value))
        return other

    def __len__(self):
        return sum(len(v) for v in vars(self).values())


def files_of(folder):
    """read(sha256) over a folder of blobs: its bytes, or None."""

    def read(name):
        try:
            return (folder / name[:2] / name).read_bytes()
        except OSError:
            return None

    return read


def check(db_path, read_blob, promises, deep=True, mode="rw"):
    """A list of sentences, one for each breach."""
    with contextlib.closing(sqlite3.connect(f"file:{db_path}?mode={mode}", uri=True, timeout=20)) as db:
        try:
            db.execute("BEGIN")  # one view: a job that was cut off may be publishing again meanwhile
            return list(_check(db, read_blob, promises, deep))
        except sqlite3.DatabaseError as e:
            return [f"the database cannot be read: {e}"]


def _check(db, read_blob, promises, deep):
    if deep:
        for (line,) in db.execute("PRAGMA integrity_check(3)"):
            if line != "ok":
                yield f"integrity_check: {line}"
        for row in db.execute("PRAGMA foreign_key_check"):
            yield f"foreign_key_check: {row}"
    if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'job'").fetchone():
        if len(promises):
            yield f"no table of jobs, and {len(promises)} promises were made"
        return
    yield from _promises(db, promises)
    yield from _jobs(db)
    if db.execute("SELECT 1 FROM pragma_table_info('ref_move') WHERE name = 'rev'").fetchone():
        yield from _moves(db, promises)
    if db.execute("SELECT 1 FROM pragma_table_info('version') WHERE name = 'gone_at'").fetchone():
        yield from _life(db, promises)
    if db.execute("SELECT 1 FROM sqlite_master WHERE name = 'decision'").fetchone():
        yield from _decided(db)
    yield from _files(db, read_blob)


def _decided(db):
    """What a job found is there exactly when the job has succeeded, once."""
    for table in ("report", "decision"):
        for uid, state, n in db.execute(
            f"SELECT x.job, j.state, count(*) FROM {table} x JOIN job j ON j.uid = x.job GROUP BY x.job"
        ):
            if state != "succeeded" or n > 1:
                yield f"job {uid} is {state} with {n} rows of {table}"
    for uid, said, there, commit, about in db.execute(
        "SELECT j.uid, json_extract(j.result, '$.decision.id'), d.uid, json_extract(j.result, '$.version.commit'), d.new"
        " FROM job j LEFT JOIN decision d ON d.job = j.uid WHERE j.state = 'succeeded' AND json_valid(j.result)"
    ):
        if said != there:
            yield f"job {uid} names the decision {said}, and {there} is there"
        if there and commit and commit != about:
            yield f"the decision {there} of job {uid} is about {about} and not about {commit}"


def _promises(db, p):
    state = dict(db.execute("SELECT uid, state FROM job"))
    versions = {
        (m, c) for m, c in db.execute("SELECT m.name, lower(hex(v.oid)) FROM version v JOIN model m ON m.id = v.model")
    }
    for uid in p.jobs - state.keys():
        yield f"acknowledged job {uid} is lost"
    for version in p.versions - versions:
        yield f"acknowledged version {version} is lost"
    for uid in p.cancelled:
        if state.get(uid) not in ("cancelled", "cancelling"):
            yield f"job {uid} was told to be cancelling or cancelled and is {state.get(uid)}"
    for uid in p.succeeded:
        if state.get(uid) != "succeeded":
            yield f"job {uid} was shown succeeded and is {state.get(uid)}"


def _jobs(db):
    per_job = dict(
        db.execute("SELECT job, count(*) FROM version WHERE job IS NOT NULL AND ifnull(number, 1) <> 0 GROUP BY job")
    )
    rows = db.execute("SELECT uid, state, json_extract(result, '$.version.commit') FROM job").fetchall()
    for uid, state, commit in rows:
        n = per_job.get(uid, 0)
        if n > 1:
            yield f"job {uid} published {n} versions"
        if (state == "succeeded" and commit is not None) != (n == 1):
            yield f"job {uid} is {state} with {n} versions"
        if commit and not db.execute("SELECT 1 FROM version WHERE lower(hex(oid)) = ?", (commit,)).fetchone():
            yield f"job {uid} names version {commit}, which does not exist"
    for model, numbers in db.execute(
        "SELECT model, group_concat(number) FROM (SELECT model, number FROM version WHERE number IS NOT NULL ORDER BY 1, 2)"
        " GROUP BY model"
    ):
        if [int(n) for n in numbers.split(",")] != list(range(numbers.count(",") + 1)):
            yield f"the numbers of model {model} have a gap: {numbers}"


def _moves(db, p):
    """A ref stands where its history says, and each rollback went where the stack of its moves leads."""
    refs = {(m, n): (v, r) for m, n, v, r in db.execute("SELECT model, name, version, rev FROM ref")}
    stacks, last, told = {}, {}, set()
    for model, name, kind, a, b, steps, rev, below, title, commit in db.execute(
        "SELECT h.model, h.name, h.kind, from_version, to_version, steps, h.rev, below, m.name, lower(hex(v.oid)) FROM ref_move h"
        " JOIN model m ON m.id = h.model LEFT JOIN version v ON v.id = h.to_version ORDER BY h.id"
    ):
        key, stack = (model, name), stacks.setdefault((model, name), [])
        before = last.get(key)
        if (before[0] if before else None) != a:
            yield f"ref {title}@{name}: a move from {a} follows one to {before and before[0]}"
        if before and rev <= before[1]:
            yield f"ref {title}@{name}: revision {rev} comes after {before[1]}"
        last[key] = (b, rev)
        told.add((title, name, rev, commit or None))
        if kind == "rollback":
            del stack[-steps:]
            if not stack or stack[-1] != b:
                yield f"ref {title}@{name}: a rollback of {steps} went to {b}; the stack is {stack}"
        elif kind == "delete":
            stack.clear()
        else:
            if below is None:
                stack.clear()
            stack.append(b)
    for key, (b, rev) in last.items():
        version, at = refs.get(key, (None, None))
        if version != b or (at is not None and at < rev):
            yield f"ref {key} is at {version} in revision {at}; its history ends at {b} in {rev}"
    for key in refs.keys() - last.keys():
        yield f"ref {key} has no history"
    for move in p.moves - told:
        yield f"acknowledged move {move} is lost"


def _life(db, p):
    """What is alive has its files, what is gone has none, and nothing names what was deleted."""
    rows = {
        (m, c): (deleted, gone)
        for m, c, deleted, gone in db.execute(
            "SELECT m.name, lower(hex(v.oid)), v.deleted_at, v.gone_at FROM version v JOIN model m ON m.id = v.model"
        )
    }
    for model, commit, files, gone, n in db.execute(
        "SELECT m.name, lower(hex(v.oid)), v.files, v.gone_at, (SELECT count(*) FROM file WHERE version = v.id)"
        " FROM version v JOIN model m ON m.id = v.model"
    ):
        if n != (0 if gone else files):
            yield f"version {model}@{commit} {'is gone' if gone else 'lives'} with {n} of {files} files"
    for (name,) in db.execute(
        "SELECT m.name || '@' || r.name FROM ref r JOIN version v ON v.id = r.version JOIN model m ON m.id = r.model"
        " WHERE v.deleted_at IS NOT NULL AND m.deleted_at IS NULL"
    ):
        yield f"ref {name} names a version that was deleted"
    for what, promised, holds in (
        ("deleted", p.deleted, lambda r: r[0]),
        ("purged", p.purged, lambda r: r[1]),
    ):
        for version in promised:
            if version in rows and not holds(rows[version]):
                yield f"version {version} was told to be {what} and is not"


def _files(db, read_blob):
    """Every blob that a row names is there and is what its name says; every file reads back to its hash."""
    blobs = {}
    for sha, size in db.execute("SELECT lower(hex(sha256)), bytes FROM blob"):
        data = read_blob(sha)
        if data is None:
            yield f"a row names blob {sha}, which is missing"
        elif len(data) != size or hashlib.sha256(data).hexdigest() != sha:
            yield f"blob {sha} holds other bytes"
        else:
            blobs[sha] = data
    layouts = {}
    for layout, sha, offset, size in db.execute(
        "SELECT layout, lower(hex(blob)), offset, bytes FROM span ORDER BY layout, seq"
    ):
        layouts.setdefault(layout, []).append((sha, offset, size))
    for layout, sha in db.execute("SELECT id, lower(hex(sha256)) FROM layout"):
        spans = layouts.get(layout, [])
        if any(name not in blobs for name, _, _ in spans):
            if all(read_blob(name) is not None for name, _, _ in spans):
                yield f"file {sha} is made of a wrong blob"
            continue  # told above
        if len(spans) == 1 and spans[0][0] == sha:
            continue  # a whole blob
        if hashlib.sha256(b"".join(blobs[n][o : o + k] for n, o, k in spans)).hexdigest() != sha:
            yield f"the spans of file {sha} do not give its bytes"


def check_folder(data, promises=None):
    """The same over a data folder whose daemon does not run."""
    return check(data / "amendd.db", files_of(data / "blobs"), promises or Promises())


def check_running(data, promises):
    """The same while the daemon runs: as a reader, which disturbs nobody. Everything must be at rest."""
    return check(data / "amendd.db", files_of(data / "blobs"), promises, mode="ro")


def check_copy(data, promises):
    """The same over a copy, for a folder that SQLite cannot reach (another mount name space). Everything at rest."""
    with tempfile.TemporaryDirectory() as folder:
        for end in ("", "-wal"):
            with contextlib.suppress(FileNotFoundError):
                shutil.copyfile(f"{data}/amendd.db{end}", f"{folder}/amendd.db{end}")
        return check(f"{folder}/amendd.db", files_of(data / "blobs"), promises)
