"""The tables of bench/run merge, and what changed since the stored results."""

import json

MIB = 1 << 20
ALARM = 0.2  # a ratio that moved by more than this share is pointed out


def brief(name, s):
    floor = s["cat"] + s["cp"]
    synced = floor + s["sync"]
    return (
        f"{name}: compute {s['compute']:.3f} s = {s['compute'] / floor:.2f} x {floor:.3f},"
        f" end to end {s['end_to_end']:.3f} s = {s['end_to_end'] / synced:.2f} x {synced:.3f},"
        f" cpu {s['cpu_user'] + s['cpu_sys']:.2f} s, {s['maxrss'] / MIB:.0f} MiB"
    )


def verdict(good):
    return "pass" if good else "FAIL"


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return lines + ["| " + " | ".join(str(c) for c in row) + " |" for row in rows]


def times(jobs):
    head = [
        "job",
        "floor s",
        "compute s (min)",
        "ratio",
        "target",
        "",
        "floor + sync s",
        "end to end s (min)",
        "ratio",
        "target",
        "",
    ]
    return table(
        head,
        [
            [
                name,
                f"{r['compute_floor']:.3f}",
                f"{r['compute']:.3f} ({r['compute_min']:.3f})",
                f"{r['compute_ratio']:.2f}",
                r["compute_target"],
                verdict(r["compute_pass"]),
                f"{r['end_to_end_floor']:.3f}",
                f"{r['end_to_end']:.3f} ({r['end_to_end_min']:.3f})",
                f"{r['end_to_end_ratio']:.2f}",
                r["end_to_end_target"],
                verdict(r["end_to_end_pass"]),
            ]
            for name, r in jobs.items()
        ],
    )


def costs(jobs):
    head = [
        "job",
        "user s",
        "system s",
        "cat s",
        "cp s",
        "sync s",
        "end to end - compute s",
        "peak MiB",
        "<= 256",
        "plan MiB",
        "<= 1.25 x",
        "amendd MiB",
        "<= 64",
        "rounds unsteady / repeated",
    ]
    return table(
        head,
        [
            [
                name,
                *(f"{r[k]:.3f}" for k in ("cpu_user", "cpu_sys", "cat", "cp", "sync", "difference")),
                f"{r['maxrss'] / MIB:.1f}",
                verdict(r["memory_pass"]),
                f"{r['plan'] / MIB:.1f}",
                verdict(r["plan_pass"]),
                f"{r['daemon_peak'] / MIB:.1f}",
                verdict(r["daemon_pass"]),
                f"{r['unsteady']} / {r['repeated']}",
            ]
            for name, r in jobs.items()
        ],
    )


def large(part):
    head = ["job", "s", "peak MiB", "more than above, MiB", "<= 256, <= 32 more", "plan MiB", "<= 1.25 x"]
    return table(
        head,
        [
            [
                name,
                f"{r['seconds']:.1f}",
                f"{r['maxrss'] / MIB:.1f}",
                f"{r['grown'] / MIB:+.1f}",
                verdict(r["memory_pass"]),
                f"{r['plan'] / MIB:.1f}",
                verdict(r["plan_pass"]),
            ]
            for name, r in part["jobs"].items()
        ],
    )


def scaling(found):
    counts = list(next(iter(found.values())))
    head = ["job", *(f"{n} threads s" for n in counts), "1 to 2", "most to best"]
    rows = [
        [name, *(f"{s[n]:.3f}" for n in counts), f"{s[1] / s[2]:.2f} x", f"{s[counts[-1]] / min(s.values()):.2f} x"]
        for name, s in found.items()
    ]
    return table(head, rows)


def text(result):
    m, jobs = result["machine"], result["jobs"]
    kernels = ", ".join(sorted({r["kernels"] for r in jobs.values()}))
    lines = [
        f"{m['time']}: {m['cpu']}, {m['cores']} cores ({' '.join(m['flags'])}), {m['memory_gib']} GiB,"
        f" {m['file_system']}, Linux {m['kernel']}. Kernels {kernels}, {m['threads']} threads.",
        f"Models of {m['elements'] / 1e6:.1f} M parameters in BF16 ({2 * m['elements'] / 1e9:.2f} GB), page cache warm,"
        f" {m['touched_gib']} GiB touched before. Median of {m['rounds']} rounds, {m['discarded']} discarded."
        f" Load {m['load_before']} before, {m['load_after']} after.",
        "",
        *times(jobs),
        "",
        *costs(jobs),
    ]
    if "sha_ni" not in m["flags"]:
        lines += [
            "",
            "This processor has no SHA instructions: hashing the result alone takes longer than the target allows.",
        ]
    if "scaling" in result:
        lines += ["", *scaling(result["scaling"])]
    if "large" in result:
        lines += [
            "",
            f"The same jobs on models of {result['large']['elements'] / 1e9:.2f} G parameters, mostly holes:",
            "",
        ]
        lines += large(result["large"])
    return "\n".join(lines) + "\n"


def changes(old, new):
    """Ratios that moved by more than ALARM since the stored result."""
    if old["machine"]["size"] != new["machine"]["size"]:
        return []
    found = []
    for name, row in new["jobs"].items():
        before = old["jobs"].get(name)
        for key in ("compute_ratio", "end_to_end_ratio") if before else ():
            if abs(row[key] / before[key] - 1) > ALARM:
                found.append(f"{name}: {key} was {before[key]:.2f}, is {row[key]:.2f}")
    return found


def show(result, save, folder):
    print(text(result))
    stored = folder / "merge.json"
    if stored.exists():
        for line in changes(json.loads(stored.read_text()), result):
            print("changed by more than 20 %:", line)
    if save:
        folder.mkdir(exist_ok=True)
        stored.write_text(json.dumps(result, indent=1) + "\n")
        (folder / "merge.md").write_text(text(result))
