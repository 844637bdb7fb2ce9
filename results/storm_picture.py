#!/usr/bin/python3
"""Draws the distributions of a storm's journal (`faultline storm`) as an SVG.

For each call one panel: percentiles of how long it took, by how many device accesses were outstanding when it began. Both
axes are logarithmic. A dot is drawn darker the more calls are behind it.
"""

import argparse
import html
import math
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from journals import records  # noqa: E402

PERCENTILES = [("p50", 0.5, "#1b6ca8"), ("p90", 0.9, "#2a9d8f"), ("p99", 0.99, "#e9a23b"), ("max", 1, "#c8553d")]
CLASSES = 12  # of queue lengths, as storms::queue_classes
WIDTH, HEIGHT, LEFT, TOP, COLUMNS = 330, 220, 62, 34, 3


def end_of(index):
    """The longest duration, in ns, of a class of harness/times.h."""
    if index < 4:
        return index
    power = index // 4 + 1
    return (5 + index % 4) * 2 ** (power - 2) - 1


def distributions(journal):
    """Returns ({call: {queue class: ({duration class: count}, longest ns)}}, the record of the run)."""
    calls, run = {}, {}
    for record in records(journal):
        if record.get("ev") == "run":
            run = record
        if record.get("ev") != "storm":
            continue
        for row in record["rows"]:
            counts, longest = calls.setdefault(row["call"], {}).setdefault(row["queue"], ({}, 0))
            for index, count in row["durations"]["counts"]:
                counts[index] = counts.get(index, 0) + count
            calls[row["call"]][row["queue"]] = counts, max(longest, row["durations"]["longest_ns"])
    return calls, run


def quantile(counts, longest, part):
    """The duration that a fraction of the calls did not exceed."""
    seen, every = 0, sum(counts.values())
    for index in sorted(counts):
        seen += counts[index]
        if seen >= part * every:
            return min(end_of(index), longest)
    return longest


def duration_text(ns):
    for unit, size in (("s", 1e9), ("ms", 1e6), ("us", 1e3)):
        if ns >= size:
            return f"{ns / size:g} {unit}"
    return f"{ns:g} ns"


def queue_label(queue):
    return str(queue) if queue < 2 else f"{2 ** (queue - 1)}{'+' if queue == CLASSES - 1 else ''}"


def panel(call, queues, decades):
    """One call's panel, with its origin at its upper left corner."""
    low, high = decades
    most = max(queues)

    def x_of(queue):
        return LEFT + (WIDTH - LEFT - 16) * queue / max(1, most)

    def y_of(ns):
        return TOP + (HEIGHT - TOP - 34) * (1 - (math.log10(max(ns, 10 ** low)) - low) / (high - low))

    calls = sum(sum(counts.values()) for counts, _ in queues.values())
    out = [f'<text x="{LEFT}" y="20" class="title">{html.escape(call)}</text>'
           f'<text x="{WIDTH - 14}" y="20" class="end">{calls:,} calls</text>']
    for decade in range(low, high + 1):
        y = y_of(10 ** decade)
        out.append(f'<line x1="{LEFT}" x2="{WIDTH - 14}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>'
                   f'<text x="{LEFT - 6}" y="{y + 4:.1f}" class="end">{duration_text(10 ** decade)}</text>')
    for queue in range(0, most + 1):
        if most <= 6 or queue % 2 == 0 or queue == most:
            out.append(f'<text x="{x_of(queue):.1f}" y="{HEIGHT - 16}" class="middle">{queue_label(queue)}</text>')
    for _, part, colour in PERCENTILES:
        points = [(x_of(queue), y_of(quantile(*queues[queue], part)), sum(queues[queue][0].values())) for queue in sorted(queues)]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in points)
        out.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.5" stroke-opacity="0.7"/>')
        for x, y, count in points:
            out.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}" fill-opacity="{min(1, 0.25 + math.log10(count) / 3):.2f}"/>')
    return "\n".join(out)


def picture(journal):
    calls, run = distributions(journal)
    if not calls:
        raise ValueError(f"{journal}: no storm in this journal")
    longest = max(longest for queues in calls.values() for _, longest in queues.values())
    decades = 3, max(4, math.ceil(math.log10(longest)))
    rows = math.ceil(len(calls) / COLUMNS)
    columns = min(COLUMNS, len(calls))
    width, height = columns * WIDTH, rows * HEIGHT + 74
    title = f"storm {run.get('storm', '')} on {run.get('target', '')}, {run.get('seconds', 0):g} s, up to {run.get('threads', 0)} accesses"
    key, x = [], LEFT
    for name, _, colour in PERCENTILES:
        key.append(f'<circle cx="{x}" cy="46" r="4" fill="{colour}"/><text x="{x + 9}" y="50">{name}</text>')
        x += 60
    panels = [f'<g transform="translate({index % COLUMNS * WIDTH},{index // COLUMNS * HEIGHT + 54})">\n{panel(call, calls[call], decades)}\n</g>'
              for index, call in enumerate(sorted(calls))]
    return f"""<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">
<style>text {{ font: 11px sans-serif; fill: #333 }} .title {{ font-weight: bold; font-size: 13px }} .end {{ text-anchor: end }}
.middle {{ text-anchor: middle }} .grid {{ stroke: #ddd }}</style>
<rect width="{width}" height="{height}" fill="white"/>
<text x="{LEFT}" y="26" class="title">{html.escape(title)}</text>
{"".join(key)}<text x="{width - 14}" y="50" class="end">across: device accesses outstanding when the call began</text>
{chr(10).join(panels)}
</svg>
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("journal", type=pathlib.Path, help="of faultline storm")
    parser.add_argument("-o", dest="out", type=pathlib.Path, required=True, metavar="FILE.svg")
    arguments = parser.parse_args()
    try:
        arguments.out.write_text(picture(arguments.journal))
    except (OSError, ValueError, KeyError) as error:
        sys.exit(f"storm_picture.py: {error}")


if __name__ == "__main__":
    main()
