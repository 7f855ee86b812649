#!/usr/bin/env python3
"""plot.py TARGET - draws the result of tasks.py (JSON on standard input); the suffix says the format."""

import json
import statistics
import sys

import matplotlib

matplotlib.use("Agg")
matplotlib.rcParams |= {"svg.hashsalt": "amend", "svg.fonttype": "none", "font.size": 10}
import matplotlib.pyplot as plt  # noqa: E402

STYLE = {  # label, colour, mark, line; dashed: told the task, one model for each
    "breadcrumbs": ("Breadcrumbs", "#c2410c", "o", "-"),
    "task_arithmetic": ("task arithmetic", "#1d4ed8", "s", "-"),
    "ties": ("TIES", "#15803d", "^", "-"),
    "average": ("average", "#6b7280", "D", "-"),
    "consensus": ("consensus", "#a16207", "v", "-"),
    "knots": ("KnOTS", "#be185d", "P", "-"),
    "iso_c": ("Iso-C", "#0e7490", "X", "-"),
    "tsv_m": ("TSV-M", "#7e22ce", "*", "-"),
    "tall_masks": ("TALL masks", "#a16207", "v", "--"),
    "emr": ("EMR", "#111827", "o", "--"),
}


def main():
    result = json.load(sys.stdin)
    figure, ax = plt.subplots(figsize=(8, 5.2))
    for name, curve in result["curves"].items():
        label, colour, mark, line = STYLE[name]
        counts = sorted(map(int, curve))
        mean = [statistics.fmean(curve[str(c)]) for c in counts]
        spread = [statistics.stdev(curve[str(c)]) if len(curve[str(c)]) > 1 else 0 for c in counts]
        ax.plot(counts, mean, color=colour, marker=mark, linestyle=line, markersize=4.5, linewidth=1.6, label=label)
        ax.fill_between(
            counts,
            [m - s for m, s in zip(mean, spread)],
            [m + s for m, s in zip(mean, spread)],
            color=colour,
            alpha=0.07,
            linewidth=0,
        )
    counts = sorted(map(int, result["base"]))
    ax.plot(
        counts,
        [statistics.fmean(result["base"][str(c)]) for c in counts],
        color="black",
        linestyle=":",
        linewidth=1,
        label="base, not merged",
    )
    ax.set(xlabel="merged tasks", ylabel="normalised accuracy, mean over the tasks", ylim=(0, 1))
    ax.set_title(
        f"hyper-parameters fixed at two tasks; {result['seeds']} seeds, {result['orders']} orders each\n"
        "band: one standard deviation; dashed: told the task, one model for each",
        fontsize=9,
    )
    ax.grid(color="#e5e7eb", linewidth=0.6)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    ax.legend(frameon=False, ncols=3, fontsize=8)
    figure.tight_layout()
    figure.savefig(sys.argv[1], dpi=150, metadata={"Date": None} if sys.argv[1].endswith(".svg") else None)


if __name__ == "__main__":
    main()
