"""Alternating rounds of TCP throughput and round-trip time between two containers."""

import json
import re
import time

from . import machine
from .shell import Netns, stop, wait_for

METRICS = ("tcp1_gbps", "tcp4_gbps", "rtt_p50_us", "rtt_p99_us")


def measure(contenders, rounds, seconds):
    """`{contender: {metric: [a value a round], "about": {..}}}`"""
    results = {c.name: {} for c in contenders}
    for number in range(rounds):
        # Who goes first changes from round to round.
        order = contenders if number % 2 == 0 else contenders[::-1]
        for contender in order:
            print(f"round {number + 1}/{rounds}: {contender.name:<16}", end="", flush=True)
            figures = turn(contender, seconds, results[contender.name])
            for key, value in figures.items():
                results[contender.name].setdefault(key, []).append(value)
            print("  ".join(f"{key} {figures[key]:.1f}" for key in METRICS), flush=True)
    return results


def turn(contender, seconds, result):
    contender.start()
    namespaces = [Netns("a"), Netns("b")]
    try:
        client, server = namespaces
        contender.port(client)
        address, _ = contender.port(server)
        if about := contender.describe():
            result["about"] = about
        client.run("ping", "-c3", "-i0.2", "-W2", address)
        figures = {}
        for streams in (1, 4):
            figures |= iperf(contender, client, server, address, streams, seconds)
        return figures | sockperf(contender, client, server, address, seconds)
    finally:
        for netns in namespaces:
            netns.close()
        contender.stop()


def iperf(contender, client, server, address, streams, seconds):
    daemon = server.spawn("iperf3", "-s", "-1")
    wait_for("iperf3 listens", lambda: ":5201" in server.run("ss", "-ltn"))
    before = cpu(contender)
    text = client.run("iperf3", "-c", address, "-P", str(streams), "-t", str(seconds), "-O", "1", "-J",
                      limit=seconds + 30)
    used = cpu(contender) - before
    stop(daemon)
    end = json.loads(text)["end"]
    sender = end["streams"][0]["sender"]
    return {
        f"tcp{streams}_gbps": end["sum_received"]["bits_per_second"] / 1e9,
        f"tcp{streams}_retransmits": end["sum_sent"].get("retransmits", 0),
        f"tcp{streams}_mean_rtt_us": sender.get("mean_rtt", 0),
        f"tcp{streams}_switch_cpu": used / (seconds + 1),
    }


def sockperf(contender, client, server, address, seconds):
    daemon = server.spawn("sockperf", "server", "--tcp", "-i", address, "-p", "11111")
    wait_for("sockperf listens", lambda: ":11111" in server.run("ss", "-ltn"))
    time.sleep(0.2)
    before = cpu(contender)
    text = client.run("sockperf", "ping-pong", "--tcp", "-i", address, "-p", "11111", "-t", str(seconds),
                      limit=seconds + 30)
    used = cpu(contender) - before
    stop(daemon)
    found = {q: re.search(rf"percentile {q}\S*\s*=\s*([\d.]+)", text) for q in ("50.000", "99.000")}
    return {
        "rtt_p50_us": float(found["50.000"].group(1)),
        "rtt_p99_us": float(found["99.000"].group(1)),
        "rtt_switch_cpu": used / seconds,
    }


def cpu(contender):
    return machine.cpu_seconds(contender.pid) if contender.pid else 0.0
