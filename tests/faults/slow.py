#!/usr/bin/env python3
"""slow.py [--jobs N] [--floor N] - submits against a disk whose syncs take 4 ms, then a kill, then a look.

64 clients submit over kept-open connections while slow_sync.so delays and counts every sync of the daemon. Demands at least
`floor` answers 202 a second, at most one sync of the log for four jobs, and after SIGKILL and a start every acknowledged job. The
workers of the first jobs are stopped (SIGSTOP), so that computing takes no processor from what is measured.
Exit 1 otherwise. Uses the release build: no failpoints in the way.
"""

import argparse
import contextlib
import json
import os
import resource
import signal
import sqlite3
import struct
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
os.environ.setdefault("AMEND_BUILD", str(ROOT / "build"))

import scene  # noqa: E402

BEFORE = (
    '{"type":"merge","method":"linear","inputs":{"models":[{"version":"t/a","params":{"weight":1.0}},'
    '{"version":"t/b","params":{"weight":'
)
AFTER = '}}]},"publish":{"model":"t/out"}}'


def hold(d, slots):
    """Jobs whose workers stand still, in every slot."""
    held, limit = set(), time.monotonic() + 30
    for i in range(slots):
        d.client.submit(scene.blend("t/held", 2.0 + i, models=("t/large",)))
    while len(held) < slots and time.monotonic() < limit:
        for pid in set(d.workers()) - held:
            with contextlib.suppress(OSError):  # between fork and exec it is still the daemon
                if os.readlink(f"/proc/{pid}/exe").endswith("amend-worker"):
                    os.kill(pid, signal.SIGSTOP)
                    held.add(pid)
        time.sleep(0.001)
    if len(held) < slots:
        sys.exit(f"{slots} workers should run, {len(held)} do")


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=10000)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--floor", type=float, default=1000, help="submits a second")
    parser.add_argument("--ms", type=int, default=4, help="what a sync takes longer")
    parser.add_argument("--slots", type=int, default=1, help="workers that run at workers.count=1")
    parser.add_argument("--tools", default=str(ROOT / "build/faults"), help="folder of slow_sync.so and submit_load")
    args = parser.parse_args(argv)
    with scene.Place() as place:
        counts = place.path / "counts"
        counts.write_bytes(bytes(16))
        d = place.daemon("data", "--workers.count=1", "--log.level=error")
        d.start()
        place.write("large", {"w": scene.ref.tensor("F32", scene.np.ones(8_000_000))})
        for name in ("a", "b", "large"):
            d.client.register(place.models / name, f"t/{name}")
        d.stop()
        d.env = {
            "LD_PRELOAD": f"{args.tools}/slow_sync.so",
            "SLOW_SYNC_MS": str(args.ms),
            "SLOW_SYNC_COUNT": str(counts),
        }
        d.start()
        hold(d, args.slots)
        with open(counts, "r+b") as f:
            f.write(bytes(16))  # from here on; the daemon has it mapped
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        load = subprocess.run(
            [f"{args.tools}/submit_load", d.url.rsplit(":")[-1], str(args.clients), str(args.jobs), BEFORE, AFTER],
            capture_output=True,
            text=True,
        )
        wal, every = struct.unpack("<QQ", counts.read_bytes())
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        ticks = Path(f"/proc/{d.pid}/stat").read_text().rpartition(") ")[2].split()[11:13]
        daemon_cpu = sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")
        d.kill()
        scene.wait_gone(d.data)
        acknowledged = set(load.stdout.split())
        if load.returncode or not load.stderr.strip():
            sys.exit(f"the clients failed: {load.stderr[-800:]}")
        seconds = float(load.stderr.split()[-1])
        d.env = {}
        d.start(timeout=30)
        with contextlib.closing(sqlite3.connect(f"file:{d.data}/amendd.db?mode=ro", uri=True)) as db:
            stored = {uid for (uid,) in db.execute("SELECT uid FROM job")}
        some = sorted(acknowledged)[:: max(1, len(acknowledged) // 50)]
        lost = acknowledged - stored | {u for u in some if d.client.get(f"/v1/jobs/{u}").status_code != 200}
        summary = {
            "jobs": len(acknowledged),
            "clients": args.clients,
            "sync_ms": args.ms,
            "per_second": round(args.jobs / seconds),
            "wal_syncs": wal,
            "all_syncs": every,
            "jobs_per_wal_sync": round(len(acknowledged) / max(wal, 1), 1),
            "lost": len(lost),
            "restart_s": round(d.started_in, 3),
            "daemon_cpu_s": round(daemon_cpu, 2),
            "client_cpu_s": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 2),
        }
        d.kill()
        scene.wait_gone(d.data)
    print(json.dumps(summary))
    wrong = [
        (summary["per_second"] < args.floor, f"fewer than {args.floor} submits a second"),
        (wal == 0, "no sync was counted: the library is not in the daemon"),
        (wal > len(acknowledged) / 4, "more than one sync of the log for four jobs"),
        (len(acknowledged) != args.jobs or bool(lost), "jobs are missing"),
        (summary["restart_s"] >= 2, "the restart took 2 s or more"),
    ]
    for bad, why in wrong:
        if bad:
            print("VIOLATION", why)
    return 1 if any(bad for bad, _ in wrong) else 0


if __name__ == "__main__":
    sys.exit(main())
