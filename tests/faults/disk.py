"""What a disk may hold after the power was cut: built from the records of core/base/sys_record.h.

The model. Data written to a file since its last sync survives as any subset of its 4 KiB blocks, with the old size or the
new one. Operations on a folder (create, rename into, unlink, mkdir) since its last sync survive as any subset. What was
synced survives. A file that is on the disk in a folder that is not, is lost.
"""

import itertools

BLOCK = 4096


class File:
    """Content that reached the disk, and the blocks that may have."""

    def __init__(self):
        self.disk = b""  # at the last sync
        self.now = bytearray()
        self.dirty = {}  # block written since -> number of its last write
        self.writes = 0

    def write(self, at, n, data):
        if len(self.now) < at + n:
            self.now.extend(bytes(at + n - len(self.now)))
        if data:
            self.now[at : at + n] = data
        self._touch(at // BLOCK, (at + max(n, 1) - 1) // BLOCK)

    def _touch(self, first, last):
        self.writes += 1
        self.dirty.update(dict.fromkeys(range(first, last + 1), self.writes))

    def resize(self, size):
        first = min(size, len(self.now)) // BLOCK
        last = max(size, len(self.now)) // BLOCK
        if size < len(self.now):
            del self.now[size:]
            self._touch(first, last)
        else:
            self.now.extend(bytes(size - len(self.now)))

    def sync(self):
        self.disk = bytes(self.now)
        self.dirty.clear()

    def changed(self):
        return bool(self.dirty) or len(self.disk) != len(self.now)

    def after_cut(self, kept, new_size):
        """The content when the blocks of `kept` reached the disk, and the new size or not."""
        size = len(self.now) if new_size else len(self.disk)
        out = bytearray(self.disk[:size].ljust(size, b"\0"))
        for b in kept:
            part = self.now[b * BLOCK : min((b + 1) * BLOCK, size)]
            out[b * BLOCK : b * BLOCK + len(part)] = part
        return bytes(out)


class Disk:
    """The folder `root`, replayed record by record. Of staging/ and logs/ nothing outlives a start: left out."""

    def __init__(self, root):
        self.root = str(root)
        self.files = {}  # inode -> File
        self.names = {}  # path below root -> inode, or None for a folder; what is on the disk for sure
        self.pending = []  # (folder, change, number) in order; change: ("add", name, inode) or ("drop", name)
        self.changes = self.syncs = 0

    def below(self, path):
        """The path below root of what this model is about, else None."""
        if not path.startswith(self.root + "/"):
            return None
        name = path[len(self.root) + 1 :]
        kept = name in ("amendd.db", "amendd.db-wal", "amendd.db-journal", "blobs") or name.startswith("blobs/")
        return name if kept else None

    def _change(self, name, change):
        self.changes += 1
        self.pending.append((name.rpartition("/")[0], change, self.changes))

    def feed(self, r):
        """Takes a record; True when it was a sync of something that this model is about."""
        if r.op == "create":
            self.files[r.inode] = File()
            if self.below(r.name):
                self._change(self.below(r.name), ("add", self.below(r.name), r.inode))
        elif r.op == "mkdir" and self.below(r.name):
            self._change(self.below(r.name), ("add", self.below(r.name), None))
        elif r.op == "unlink" and self.below(r.name):
            self._change(self.below(r.name), ("drop", self.below(r.name)))
        elif r.op == "rename" and self.below(r.other):
            self._into_store(r)
        elif r.op in ("write", "truncate", "size"):
            self._data(r)
        elif r.op == "sync":
            self.files.setdefault(r.inode, File()).sync()
        elif r.op == "syncdir" and (r.name + "/").startswith(self.root + "/"):
            self._sync_folder(r.name[len(self.root) + 1 :])
        if r.op not in ("sync", "syncdir"):
            return False
        self.syncs += 1
        return True

    def _data(self, r):
        f = self.files.setdefault(r.inode, File())
        if r.op == "write":
            f.write(r.a, r.b, r.data)
        elif r.op == "truncate":
            f.resize(r.a)
        else:
            f.resize(max(r.a, len(f.now)))

    def _into_store(self, r):
        """Only now the content of a worker's file is known; which blocks of it are safe was known before."""
        f = self.files.setdefault(r.inode, File())
        dirty, safe = set(f.dirty), len(f.disk)
        f.now = bytearray(r.data)
        f.disk = f.after_cut((), False) if not safe else bytes(
            b"".join(
                bytes(min(BLOCK, len(r.data) - at)) if at // BLOCK in dirty else r.data[at : at + BLOCK]
                for at in range(0, min(safe, len(r.data)), BLOCK)
            )
        )
        self._change(self.below(r.other), ("add", self.below(r.other), r.inode))

    def _sync_folder(self, folder):
        rest = []
        for entry in self.pending:
            if entry[0] == folder:
                self._apply(self.names, entry[1])
            else:
                rest.append(entry)
        self.pending = rest

    @staticmethod
    def _apply(names, change):
        if change[0] == "add":
            names[change[1]] = change[2]
        else:
            names.pop(change[1], None)

    def choices(self):
        """What is open: [(inode, blocks)] and the number of open folder operations."""
        reachable = set(self.names.values()) | {c[2] for _, c, _ in self.pending if c[0] == "add"}
        open_files = [(i, sorted(f.dirty)) for i, f in sorted(self.files.items()) if i in reachable and f.changed()]
        return open_files, len(self.pending)

    def bits(self):
        """The number of independent yes-or-no questions: blocks, sizes, folder operations."""
        open_files, n = self.choices()
        return sum(len(b) + (len(self.files[i].disk) != len(self.files[i].now)) for i, b in open_files) + n

    def key(self, answer):
        """Equal for the same state of the same time between two syncs, whichever cut it is built for."""
        answer, kept = iter(answer), [self.syncs]
        open_files, _ = self.choices()
        for inode, blocks in open_files:
            f = self.files[inode]
            kept += [(inode, b, f.dirty[b]) for b in blocks if next(answer)]
            if len(f.disk) != len(f.now) and next(answer):
                kept.append((inode, len(f.now)))
        return tuple(kept + [number for _, _, number in self.pending if next(answer)])

    def state(self, answer):
        """The folder for one answer to each question (a list of booleans): {path: bytes}."""
        answer, content = iter(answer), {}
        open_files, _ = self.choices()
        for inode, blocks in open_files:
            f = self.files[inode]
            kept = [b for b in blocks if next(answer)]
            content[inode] = f.after_cut(kept, len(f.disk) == len(f.now) or next(answer))
        names = dict(self.names)
        for _, change, _ in self.pending:
            if next(answer):
                self._apply(names, change)
        return {
            name: content[inode] if inode in content else self.files[inode].disk
            for name, inode in names.items()
            if inode is not None and self._has_folders(name, names)
        }

    @staticmethod
    def _has_folders(name, names):
        parts = name.split("/")[:-1]
        return all("/".join(parts[: i + 1]) in names for i in range(len(parts)))


def answers(bits, limit, rng):
    """Every answer when there are at most `limit`, else nothing, all, each one alone, each one missing, and random ones."""
    if 2**bits <= limit:
        yield from itertools.product((False, True), repeat=bits)
        return
    yield (False,) * bits
    yield (True,) * bits
    for i in range(bits):
        yield tuple(j == i for j in range(bits))
        yield tuple(j != i for j in range(bits))
    for _ in range(max(0, limit - 2 - 2 * bits)):
        p = rng.random()
        yield tuple(rng.random() < p for _ in range(bits))
