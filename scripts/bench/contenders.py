"""What is measured: a kernel bridge with veth pairs, and vswitch.

A contender is started and stopped for each turn. `port(netns)` connects a namespace and returns
its IPv4 address and the seconds that it took.
"""

import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from .shell import LIMIT, Netns, run, stop, wait_for


class KernelBridge:
    """A bridge and veth pairs in a namespace without any rule."""

    name = "kernel bridge"
    pid = None

    def start(self):
        self.host, self.ports = Netns("kbr"), 0
        self.host.run("ip", "link", "add", "br0", "type", "bridge")
        self.host.run("ip", "addr", "add", "10.99.0.1/16", "dev", "br0")
        self.host.run("ip", "link", "set", "br0", "up")

    def port(self, netns):
        self.ports += 1
        n, begin = self.ports, time.monotonic()
        address = f"10.99.{n // 250}.{n % 250 + 2}"
        self.host.run("ip", "link", "add", f"v{n}", "type", "veth", "peer", "name", "eth0",
                      "netns", netns.name)
        self.host.run("ip", "link", "set", f"v{n}", "master", "br0", "up")
        netns.run("ip", "addr", "add", f"{address}/16", "dev", "eth0")
        netns.run("ip", "link", "set", "eth0", "up")
        return address, time.monotonic() - begin

    def stop(self):
        self.host.close()

    def describe(self):
        return {}


class Vswitch:
    """The daemon in a namespace that plays the host."""

    def __init__(self, name, program, args):
        self.name, self.program, self.args = name, os.path.abspath(program), args

    def start(self):
        self.host, self.ports = Netns("vsw"), 0
        self.dir = Path(tempfile.mkdtemp(prefix="vswb-"))
        with open(self.dir / "log", "wb") as log:
            self.daemon = self.host.spawn(*self._command(
                "up", "--bridge", "br0", "--state-dir", str(self.dir / "state"), *self.args), output=log)
        self.pid = self.daemon.pid
        try:
            wait_for("the daemon answers", self._answers)
        except subprocess.SubprocessError as error:
            error.args = (f"{error}\n{(self.dir / 'log').read_text()}",)
            self.stop()
            raise

    def port(self, netns):
        self.ports += 1
        name, begin = f"c{self.ports}", time.monotonic()
        self._run("attach", "--netns", netns.name, "--name", name)
        took = time.monotonic() - begin
        return json.loads(self._run("--format", "json", "inspect", name))["ipv4"], took

    def detach_last(self):
        self._run("detach", f"c{self.ports}")
        self.ports -= 1

    def stop(self):
        stop(self.daemon)
        self.host.close()
        shutil.rmtree(self.dir, ignore_errors=True)

    def describe(self):
        status = json.loads(self._run("--format", "json", "status"))
        keys = ("version", "backend", "backend_reason", "workers", "idle")
        return {key: status.get(key) for key in keys} | {"program": self.program, "args": self.args}

    def _command(self, *args):
        return (self.program, "--socket", str(self.dir / "sock"), *args)

    def _run(self, *args):
        return run(*self.host.command(*self._command(*args)), limit=LIMIT)

    def _answers(self):
        if self.daemon.poll() is not None:
            raise subprocess.SubprocessError(f"the daemon ended with {self.daemon.returncode}")
        done = subprocess.run(self.host.command(*self._command("status")), check=False, timeout=LIMIT,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return done.returncode == 0
