#!/usr/bin/env python3
"""plot.py TARGET - draws the result of tasks.py (JSON on standard input); the suffix says the format."""

import json
import statistics
import sys

import matplotlib

matplotlib.use("Agg")
matplotlib.rcParams |= {"svg.hashsalt": "amend", "svg.fonttype": "none", "font.size": 10}
import matplotlib.pyplot as plt  # noqa: E402

STYLE = {
    "breadcrumbs": ("Breadcrumbs", "#c2410c", "o"),
    "task_arithmetic": ("task arithmetic", "#1d4ed8", "s"),
    "ties": ("TIES", "#15803d", "^"),
    "average": ("average", "#6b7280", "D"),
}


def main():
    result = json.load(sys.stdin)
    figure, ax = plt.subplots(figsize=(6.4, 4.2))
    for name, curve in result["curves"].items():
        label, colour, mark = STYLE[name]
        counts = sorted(map(int, curve))
        mean = [statistics.fmean(curve[str(c)]) for c in counts]
        spread = [statistics.stdev(curve[str(c)]) if len(curve[str(c)]) > 1 else 0 for c in counts]
        ax.plot(counts, mean, color=colour, marker=mark, markersize=4.5, linewidth=1.6, label=label)
        ax.fill_between(
            counts,
            [m - s for m, s in zip(mean, spread)],
            [m + s for m, s in zip(mean, spread)],
            color=colour,
            alpha=0.12,
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
        f"hyper-parameters fixed at two tasks; {result['orders']} orders, band: one standard deviation", fontsize=9
    )
    ax.grid(color="#e5e7eb", linewidth=0.6)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    ax.legend(frameon=False)
    figure.tight_layout()
    figure.savefig(sys.argv[1], dpi=150, metadata={"Date": None} if sys.argv[1].endswith(".svg") else None)


if __name__ == "__main__":
    main()
