"""The table for people."""

import statistics

from .traffic import METRICS

# metric: (what it is, which direction is good, ratio that issue 2 asks for)
TITLES = {
    "tcp1_gbps": ("TCP 1 stream, Gb/s", "at least", 0.5),
    "tcp4_gbps": ("TCP 4 streams, Gb/s", "at least", 0.45),
    "rtt_p50_us": ("half round trip p50, us", "at most", 0.65),
    "rtt_p99_us": ("half round trip p99, us", "at most", 1.2),
}


def table(result, base):
    lines = ["", " | ".join(f"{k}: {v}" for k, v in result["machine"].items()), ""]
    if result["traffic"]:
        lines += traffic_table(result["traffic"], base)
    if result["idle"]:
        lines += idle_table(result["idle"], base)
    return "\n".join(lines)


def traffic_table(traffic, base):
    lines = ["| | contender | median | min | max | ratio | target | |", "|---|---|--:|--:|--:|--:|--:|---|"]
    for metric in METRICS:
        title, direction, target = TITLES[metric]
        reference = statistics.median(traffic[base][metric])
        for name, figures in traffic.items():
            values = figures[metric]
            median = statistics.median(values)
            row = f"| {title} | {name} | {median:.1f} | {min(values):.1f} | {max(values):.1f} |"
            if name == base:
                lines.append(f"{row} 1 | | |")
                continue
            ratio = median / reference
            good = ratio >= target if direction == "at least" else ratio <= target
            lines.append(f"{row} {ratio:.2f} | {direction} {target} | {verdict(good)} |")
    lines.append("")
    for name, figures in traffic.items():
        if name != base:
            cost = ", ".join(
                f"{title} {statistics.median(figures[key]):.2f}" for title, key in
                (("1 stream", "tcp1_switch_cpu"), ("4 streams", "tcp4_switch_cpu"), ("ping-pong", "rtt_switch_cpu")))
            lines.append(f"{name}: {figures.get('about')}; CPUs used by the switch: {cost}")
    return lines + [""]


def idle_table(idle, base):
    first = idle[base]["first_frame_us_median"]
    lines = [f"| idle, {idle[base]['ports']} ports | contender | measured | target | |", "|---|---|--:|--:|---|",
             f"| first frame after idle, us | {base} | {first:.0f} | | |",
             f"| kernel memory per port, KiB | {base} | {idle[base]['kernel_kib_per_port']:.0f} | | |"]
    for name, f in idle.items():
        if name == base:
            continue
        memory = f["kernel_kib_per_port"] + f["process_kib_per_port"]
        for title, value, limit in (
            ("CPU, % of a core", f["idle_cpu_percent"], 0.5),
            ("first frame after idle, us", f["first_frame_us_median"], first + 60),
            ("attach, ms (median)", f["attach_ms_median"], 50),
            ("attach, ms (max)", f["attach_ms_max"], None),
            ("memory per port, KiB (process + kernel)", memory, 300),
        ):
            shown = f"{value:.3f}" if value < 10 else f"{value:.0f}"
            if limit is None:
                lines.append(f"| {title} | {name} | {shown} | | |")
            else:
                lines.append(f"| {title} | {name} | {shown} | {limit:g} | {verdict(value <= limit)} |")
    return lines


def verdict(good):
    return "yes" if good else "NO"
