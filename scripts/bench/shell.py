"""Commands with a time limit, and network namespaces that are deleted."""

import itertools
import os
import signal
import subprocess
import time

LIMIT = 60
_numbers = itertools.count()


def run(*command, limit=LIMIT):
    """Standard output of a command that must succeed."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=limit, check=False,
                          stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise subprocess.CalledProcessError(done.returncode, command, done.stdout,
                                            done.stdout[-2000:] + done.stderr[-2000:])
    return done.stdout


class Netns:
    """A named network namespace; what runs in it dies with it."""

    def __init__(self, tag):
        self.name = f"vswb-{os.getpid()}-{next(_numbers)}-{tag}"
        self.children = []
        run("ip", "netns", "add", self.name)
        self.run("ip", "link", "set", "lo", "up")

    def command(self, *command):
        return ("nsenter", f"--net=/run/netns/{self.name}", *command)

    def run(self, *command, limit=LIMIT):
        return run(*self.command(*command), limit=limit)

    def spawn(self, *command, output=subprocess.DEVNULL):
        child = subprocess.Popen(self.command(*command), stdin=subprocess.DEVNULL, stdout=output,
                                 stderr=subprocess.STDOUT, start_new_session=True)
        self.children.append(child)
        return child

    def close(self):
        for child in self.children:
            stop(child)
        subprocess.run(["ip", "netns", "del", self.name], check=False, timeout=LIMIT)


def stop(child):
    """Ends a child with its process group."""
    if child.poll() is None:
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def wait_for(what, condition, limit=15):
    end = time.monotonic() + limit
    while not condition():
        if time.monotonic() > end:
            raise subprocess.SubprocessError(f"waited {limit} s in vain for: {what}")
        time.sleep(0.02)
