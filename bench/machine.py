"""What the numbers were measured on, and keeping the machine quiet and warm around a measurement."""

import os
import platform
import subprocess
import sys
import time
from pathlib import Path

GIB = 1 << 30
TOUCH = """
import mmap, sys
m = mmap.mmap(-1, int(sys.argv[1]))
page = b"x" * 4096
for at in range(0, len(m), 4096):
    m[at] = 120
"""


def cpuinfo(key):
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith(key):
            return line.partition(":")[2].strip()
    return "unknown"


def available():
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable"):
            return int(line.split()[1]) * 1024
    return 0


def describe(folder):
    flags = cpuinfo("flags").split()
    fs = subprocess.run(["stat", "-f", "-c", "%T", folder], capture_output=True, text=True, check=True).stdout.strip()
    return {
        "cpu": cpuinfo("model name"),
        "cores": os.cpu_count(),
        "flags": [f for f in ("avx2", "avx512f", "sha_ni") if f in flags],
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / GIB, 1),
        "kernel": platform.release(),
        "file_system": fs,
        "load_before": load(),
    }


def load():
    return round(os.getloadavg()[0], 2)


def touch(gib):
    """The first touch of a page costs a virtual machine far more than the next; a child does it. GiB done."""
    size = min(gib * GIB, available() * 8 // 10)
    subprocess.run([sys.executable, "-c", TOUCH, str(size)], check=True)
    return round(size / GIB, 1)


def quiet(patience):
    """Waits until nobody else computes (nothing else is runnable), at most `patience` seconds. The load average, which
    still holds what the bench itself did, and whether it is quiet."""
    limit, calm = time.monotonic() + patience, 0
    while calm < 3 and time.monotonic() < limit:
        running = int(Path("/proc/loadavg").read_text().split()[3].split("/")[0])
        calm = calm + 1 if running <= 1 else 0
        time.sleep(0.05)
    return load(), calm >= 3


def run(*command):
    """Wall seconds of a command whose output goes nowhere."""
    began = time.monotonic()
    subprocess.run([str(c) for c in command], stdout=subprocess.DEVNULL, check=True)
    return time.monotonic() - began


def floor(inputs, copy):
    """Seconds of `cat` of all inputs, of `cp` of the first to `copy`, and of the copy's way to the disk."""
    os.sync()
    cat = run("cat", *inputs)
    cp = run("cp", "--reflink=never", inputs[0], copy)
    began = time.monotonic()
    fd = os.open(copy, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)
    sync = time.monotonic() - began
    os.unlink(copy)
    return {"cat": cat, "cp": cp, "sync": sync}


def hash_floor(inputs):
    """The same for a job that writes no weights: the SHA-256 takes the place of the copy."""
    os.sync()
    return {"cat": run("cat", *inputs), "cp": run("openssl", "dgst", "-sha256", *inputs), "sync": 0}
