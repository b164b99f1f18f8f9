#!/usr/bin/env python3
"""Times ADD of CNI from its start to its end, in namespaces of its own: vswitch-cni, the request to the switch alone, the
command `vswitch attach`, and Debian's bridge, host-local and portmap. Each with both families and one published port, in turns.

  sudo scripts/bench-cni.py FOLDER [ROUNDS]      FOLDER has vswitch and vswitch-cni; 30 rounds
"""
import ctypes, http.client, json, os, socket, statistics, subprocess, sys, tempfile, time

FOLDER, ROUNDS = os.path.abspath(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 30
DEBIAN = "/usr/lib/cni"
CLONE_NEWNET = 0x40000000
NAME = f"vswt-{os.getpid()}-cni"
PORTS = {"portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]}
RANGES = [[{"subnet": "10.98.0.0/16"}], [{"subnet": "fd00:98::/64"}]]
ROUTES = [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]


def run(*args, **options):
    return subprocess.run(args, check=True, capture_output=True, **options)


def plugin(program, operation, netns, config):
    """Calls a plugin in the host's namespace, where this process is."""
    environment = {"CNI_COMMAND": operation, "CNI_CONTAINERID": "id", "CNI_IFNAME": "eth0", "CNI_PATH": DEBIAN,
                   "CNI_NETNS": f"/run/netns/{netns}", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    done = subprocess.run([program], input=json.dumps(config).encode(), env=environment, capture_output=True)
    if done.returncode != 0:
        sys.exit(f"{program} {operation}: {done.stdout.decode()}{done.stderr.decode()}")
    return json.loads(done.stdout or b"null")


class Api(http.client.HTTPConnection):
    """The switch's API."""

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.host)

    def ask(self, method, path, body=None):
        self.request(method, path, json.dumps(body or {}), {"Host": "x", "Content-Type": "application/json"})
        answer = self.getresponse()
        text = answer.read()
        if answer.status >= 300:
            sys.exit(f"{method} {path}: {text.decode()}")


def vswitch(folder):
    config = {"cniVersion": "1.0.0", "name": "a", "type": "vswitch-cni", "socket": f"{folder}/sock",
              "runtimeConfig": PORTS}
    program = f"{FOLDER}/vswitch-cni"
    return (lambda netns: plugin(program, "ADD", netns, config), lambda netns: plugin(program, "DEL", netns, config))


def attach(folder):
    path = f"{folder}/sock"
    request = {"name": "id", "netns": {"path": ""}, "ifname": "eth0", "publish": [{"ports": "8080:80/tcp"}]}
    return (
        lambda netns: Api(path).ask("POST", "/v1/ports", request | {"netns": {"path": f"/run/netns/{netns}"}}),
        lambda netns: Api(path).ask("DELETE", "/v1/ports/id"),
    )


def command(folder):
    program = [f"{FOLDER}/vswitch", "--socket", f"{folder}/sock"]
    return (
        lambda netns: run(*program, "attach", "--netns", netns, "--name", "id", "-p", "8080:80"),
        lambda netns: run(*program, "detach", "id"),
    )


def debian(folder):
    bridge = {"cniVersion": "1.0.0", "name": "b", "type": "bridge", "bridge": "cni0", "isGateway": True,
              "ipMasq": True, "ipam": {"type": "host-local", "dataDir": folder, "ranges": RANGES, "routes": ROUTES}}
    portmap = {"cniVersion": "1.0.0", "name": "b", "type": "portmap", "runtimeConfig": PORTS}

    def add(netns):
        result = plugin(f"{DEBIAN}/bridge", "ADD", netns, bridge)
        add.result = plugin(f"{DEBIAN}/portmap", "ADD", netns, portmap | {"prevResult": result})

    def delete(netns):
        plugin(f"{DEBIAN}/portmap", "DEL", netns, portmap | {"prevResult": add.result})
        plugin(f"{DEBIAN}/bridge", "DEL", netns, bridge | {"prevResult": add.result})

    return add, delete


def measure(folder):
    contenders = {"vswitch-cni": vswitch(folder), "attach by the API": attach(folder),
                  "vswitch attach": command(folder), "bridge and portmap": debian(folder)}
    times = {name: ([], []) for name in contenders}
    for turn in range(ROUNDS + 1):
        for name, (add, delete) in contenders.items():
            netns = f"{NAME}-pod"
            run("ip", "netns", "add", netns)
            for call, taken in zip((add, delete), times[name]):
                start = time.perf_counter()
                call(netns)
                # The first turn warms caches, and makes the bridge.
                if turn > 0:
                    taken.append((time.perf_counter() - start) * 1000)
            run("ip", "netns", "del", netns)
    print(f"{ROUNDS} rounds in turns, milliseconds: median (least to most)")
    for name, taken in times.items():
        shown = [f"{statistics.median(it):5.1f} ({min(it):.1f} to {max(it):.1f})" for it in taken]
        print(f"  {name:20} ADD {shown[0]:24} DEL {shown[1]}")
    start = [startup() for _ in range(ROUNDS)]
    print(f"  vswitch-cni alone (VERSION): {statistics.median(start):.1f}")


def startup():
    start = time.perf_counter()
    plugin(f"{FOLDER}/vswitch-cni", "VERSION", "", {"cniVersion": "1.0.0"})
    return (time.perf_counter() - start) * 1000


def main():
    host, lan = f"{NAME}-host", f"{NAME}-lan"
    for name in (host, lan):
        run("ip", "netns", "add", name)
    try:
        run("ip", "-n", host, "link", "add", "nic0", "type", "veth", "peer", "name", "nic1", "netns", lan)
        for arguments in ("link set lo up", "addr add 192.0.2.1/24 dev nic0", "link set nic0 up",
                          "route add default via 192.0.2.254"):
            run("ip", "-n", host, *arguments.split())
        run("ip", "-n", lan, "link", "set", "nic1", "up")
        with open(f"/run/netns/{host}", encoding="utf-8") as file:
            # os.setns is new in Python 3.12.
            ctypes.CDLL(None, use_errno=True).setns(file.fileno(), CLONE_NEWNET)
        with tempfile.TemporaryDirectory(prefix="vswt-") as folder:
            options = ["--socket", f"{folder}/sock"]
            state = ["--state-dir", f"{folder}/state"]
            with open(f"{folder}/log", "w", encoding="utf-8") as log:
                daemon = subprocess.Popen([f"{FOLDER}/vswitch", *options, "up", "--bridge", "br0", *state],
                                          stdout=log, stderr=log)
            try:
                until = time.monotonic() + 10
                while not os.path.exists(f"{folder}/sock") and time.monotonic() < until:
                    time.sleep(0.05)
                measure(folder)
            finally:
                daemon.terminate()
                daemon.wait()
    finally:
        for name in (f"{NAME}-pod", host, lan):
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


main()
