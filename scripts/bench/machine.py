"""What the figures depend on: machine, kernel, commit, congestion control; and process costs."""

import contextlib
import os
import platform
import re
import subprocess
import sys
import time
from pathlib import Path

CC = Path("/proc/sys/net/ipv4/tcp_congestion_control")


def describe(args, root):
    cpu = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text())
    governor = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    return {
        "cpu": cpu.group(1) if cpu else platform.machine(),
        "cpus": os.cpu_count(),
        "governor": governor.read_text().strip() if governor.exists() else "none",
        "memory_mib": memory_kib("MemTotal") // 1024,
        "kernel": platform.release(),
        "load_before": os.getloadavg()[0],
        "congestion_control": args.cc,
        "commit": first_line("git", "-C", str(root), "describe", "--always", "--dirty"),
        "iperf3": first_line("iperf3", "--version"),
        "sockperf": first_line("sockperf", "--version"),
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "command": " ".join(sys.argv),
    }


def first_line(*command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except OSError:
        return "none"
    text = (done.stdout + done.stderr).strip()
    return text.splitlines()[0] if done.returncode == 0 and text else "none"


@contextlib.contextmanager
def congestion_control(name):
    """Sets it where new namespaces inherit it from, and puts the former one back."""
    former = CC.read_text().strip()
    CC.write_text(name)
    try:
        yield
    finally:
        CC.write_text(former)


def cpu_seconds(pid):
    """CPU time of all threads of a process, also of those that have ended: clock_getcpuclockid(3)."""
    return time.clock_gettime((~pid << 3) | 2)


def resident_kib(pid):
    return int(re.search(r"VmRSS:\s*(\d+)", Path(f"/proc/{pid}/status").read_text()).group(1))


def memory_kib(*fields):
    text = Path("/proc/meminfo").read_text()
    return sum(int(re.search(rf"^{field}:\s*(\d+)", text, re.M).group(1)) for field in fields)


def kernel_kib():
    """What the kernel holds for itself and cannot give back; page and inode caches come and go."""
    return memory_kib("SUnreclaim", "Percpu", "VmallocUsed")


def settled_kernel_kib(limit=30):
    """The same, when it has stopped moving: deleted namespaces are freed in the background."""
    end, last = time.monotonic() + limit, []
    while len(last) < 3 or (max(last) - min(last) > 256 and time.monotonic() < end):
        last = [*last[-2:], kernel_kib()]
        time.sleep(1)
    return last[-1]
