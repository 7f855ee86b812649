"""What core/base/sys_record.h writes and reads: the records of all processes in the order of their times, and the block
of memory that says which call fails."""

import collections
import mmap
import struct
from pathlib import Path

Record = collections.namedtuple("Record", "time op inode a b name other data pid")


def read(folder):
    """All records below `folder`, oldest first."""
    found = []
    for path in Path(folder).iterdir():
        if not path.name.isdigit():
            continue
        with open(path, "rb") as f:  # sparse: only what is in use is read
            used = int.from_bytes(f.read(8), "little")
            raw = bytes(8) + f.read(max(0, used - 8))
        at, pid = 8, int(path.name)
        while at < len(raw):
            end = raw.index(b"\n", at)
            time, op, inode, a, b, n, m, k = raw[at:end].split()
            n, m, k, at = int(n), int(m), int(k), end + 1
            name, other = raw[at : at + n].decode(), raw[at + n : at + n + m].decode()
            data = raw[at + n + m : at + n + m + k]
            at += n + m + k
            found.append(Record(int(time), op.decode(), int(inode), int(a), int(b), name, other, data, pid))
    found.sort(key=lambda r: r.time)
    return found


def struck(folder):
    """Has a point of the action `once` struck?"""
    path = Path(folder) / "once"
    return path.exists() and any(path.read_bytes())


class Inject:
    """The k-th call of a name from arm() on, over daemon and workers together, fails. AMEND_INJECT names the file."""

    SHORT, KILL = -1, -2
    LAYOUT = struct.Struct("<iiqqq32s")

    def __init__(self, path):
        self.path = Path(path)
        self.path.write_bytes(bytes(self.LAYOUT.size))
        with open(self.path, "r+b") as f:
            self.map = mmap.mmap(f.fileno(), self.LAYOUT.size)

    def _set(self, armed, error=0, k=0, call=""):
        self.map[:] = self.LAYOUT.pack(0, error, k, 0, 0, call.encode())
        self.map[0:4] = struct.pack("<i", armed)  # last: from here on the programs look at the rest

    def arm(self, call, error, k):
        self._set(1, error, k, call)

    def disarm(self):
        """How many calls were counted, and whether one was hit."""
        self.map[0:4] = bytes(4)
        _, _, _, count, fired, _ = self.LAYOUT.unpack(self.map[:])
        return count, fired > 0
