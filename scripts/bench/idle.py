"""What idle ports cost, how long an attach takes beside them, and the first frame after idle."""

import re
import statistics
import time

from . import machine
from .shell import Netns

SETTLE_SECONDS = 5
FIRST_FRAMES = 20
ATTACHES = 20


def measure(contenders, ports, seconds):
    results = {}
    for contender in contenders:
        print(f"idle, {ports} ports: {contender.name:<16}", end="", flush=True)
        results[contender.name] = one(contender, ports, seconds)
        shown = results[contender.name]
        print("  ".join(f"{k} {v:.3f}" for k, v in shown.items() if isinstance(v, float)), flush=True)
    return results


def one(contender, ports, seconds):
    contender.start()
    namespaces = []
    try:
        # The namespaces cost memory as well: they are there before the first look.
        for number in range(ports):
            namespaces.append(Netns(f"i{number}"))
        kernel, process = machine.settled_kernel_kib(), resident(contender)
        taken, addresses = [], []
        for netns in namespaces:
            address, seconds_taken = contender.port(netns)
            addresses.append(address)
            taken.append(seconds_taken)
        time.sleep(SETTLE_SECONDS)
        figures = {
            "ports": ports,
            "kernel_kib_per_port": (machine.settled_kernel_kib() - kernel) / ports,
            "process_kib_per_port": (resident(contender) - process) / ports,
            "attach_ms_all_median": statistics.median(taken) * 1e3,
        }
        figures |= idle_cpu(contender, seconds)
        figures |= first_frame(namespaces[0], addresses[-1])
        return figures | attaches(contender)
    finally:
        for netns in namespaces:
            netns.close()
        contender.stop()


def resident(contender):
    return machine.resident_kib(contender.pid) if contender.pid else 0


def idle_cpu(contender, seconds):
    if not contender.pid:
        return {}
    before = machine.cpu_seconds(contender.pid)
    time.sleep(seconds)
    return {"idle_cpu_percent": (machine.cpu_seconds(contender.pid) - before) / seconds * 100}


def first_frame(client, address):
    """Round trips of single echoes with half a second of silence before each."""
    client.run("ping", "-c2", "-i0.2", "-W2", address)  # resolves the neighbours
    text = client.run("ping", "-c", str(FIRST_FRAMES), "-i0.5", "-W2", address)
    times = [float(ms) * 1e3 for ms in re.findall(r"time=([\d.]+) ms", text)]
    return {"first_frame_us_median": statistics.median(times), "first_frame_us_max": max(times)}


def attaches(contender):
    """An attach more beside all the others, again and again, by the command line."""
    if not contender.pid:
        return {}
    taken = []
    for number in range(ATTACHES):
        netns = Netns(f"x{number}")
        try:
            taken.append(contender.port(netns)[1] * 1e3)
            contender.detach_last()
        finally:
            netns.close()
    return {"attach_ms_median": statistics.median(taken), "attach_ms_max": max(taken)}
