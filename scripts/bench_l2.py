#!/usr/bin/env python3
"""Measures vswitch (TAP to TAP) against a kernel bridge with veth pairs and no rules.

Each contender gets a host namespace of its own for each turn; turns alternate, so that a machine
that drifts treats all alike. Real iperf3 and sockperf; medians, minima, maxima and ratios go to the
terminal and, with the machine and the command, to a JSON file.

  scripts/bench_l2.py                           five rounds, then 200 idle ports
  scripts/bench_l2.py --quick                   one short round, 20 idle ports
  scripts/bench_l2.py --only tcp --rounds 3     only traffic (or: --only idle)
  scripts/bench_l2.py --idle sleep --workers 2  options of `vswitch up`
  scripts/bench_l2.py --variant spin='--idle spin' --variant old='/tmp/old/vswitch'
                                                several switches side by side: a program, options
                                                of `up`, or both

Needs root, iperf3, sockperf, ping and iproute2 (`scripts/deps.sh bench`).
"""

import argparse
import json
import os
import shlex
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))

from bench import contenders, idle, machine, report, traffic  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--vswitch", metavar="PATH", default=default_binary(), help="the program to measure")
    p.add_argument("--variant", metavar="NAME=[PATH] [ARGS]", action="append", default=[])
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--seconds", type=int, default=5, help="length of each measurement")
    p.add_argument("--ports", type=int, default=200, help="idle ports")
    p.add_argument("--idle-seconds", type=int, default=10, help="how long the idle switch is watched")
    p.add_argument("--cc", default="cubic", help="TCP congestion control")
    p.add_argument("--only", choices=["tcp", "idle"])
    p.add_argument("--quick", action="store_true", help="below three minutes; figures only to look at")
    p.add_argument("--idle", help="passed to `vswitch up`")
    p.add_argument("--backend", help="passed to `vswitch up`")
    p.add_argument("--workers", help="passed to `vswitch up`")
    p.add_argument("--output", metavar="FILE", help="JSON result (default: target/bench/l2-TIME.json)")
    args = p.parse_args()
    if args.quick:
        args.rounds, args.seconds, args.ports, args.idle_seconds = 1, 3, 20, 5
    return args


def default_binary():
    target = os.environ.get("CARGO_TARGET_DIR", ROOT / "target")
    return os.environ.get("VSWITCH_BIN", str(Path(target) / "release" / "vswitch"))


def switches(args):
    """The switches to measure: the plain one, or the variants."""
    common = []
    for option in ("idle", "backend", "workers"):
        if value := getattr(args, option):
            common += [f"--{option}", value]
    found = []
    for variant in args.variant:
        name, _, rest = variant.partition("=")
        words = shlex.split(rest)
        program = words.pop(0) if words and "/" in words[0] else args.vswitch
        found.append(contenders.Vswitch(name, program, common + words))
    return found or [contenders.Vswitch("vswitch", args.vswitch, common)]


def main():
    args = arguments()
    if os.geteuid() != 0:
        sys.exit("error: measuring needs root, for namespaces and TAPs")
    base = contenders.KernelBridge()
    runs = switches(args)
    for run in runs:
        if not os.access(run.program, os.X_OK):
            sys.exit(f"error: no program {run.program}: build it with `cargo build --release`")
    result = {"machine": machine.describe(args, ROOT), "traffic": {}, "idle": {}}
    with machine.congestion_control(args.cc):
        if args.only != "idle":
            result["traffic"] = traffic.measure([base, *runs], args.rounds, args.seconds)
        if args.only != "tcp":
            result["idle"] = idle.measure([base, *runs], args.ports, args.idle_seconds)
    print(report.table(result, base.name))
    output = Path(args.output or ROOT / "target" / "bench" / f"l2-{time.strftime('%Y%m%d-%H%M%S')}.json")
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(result, indent=1) + "\n")
    print(f"\nresult: {output}")


if __name__ == "__main__":
    # So that the clean-up runs at SIGTERM as well.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
    except subprocess.SubprocessError as error:
        detail = getattr(error, "stderr", "") or ""
        sys.exit(f"error: {error}\n{detail}")
    except statistics.StatisticsError as error:
        sys.exit(f"error: a measurement gave no samples: {error}")
