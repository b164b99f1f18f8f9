#!/usr/bin/python3
"""The part of crictl that docs/kubernetes.md uses, which Debian has no package of: a client of CRI by gRPC.

runp POD.json | create POD_ID CONTAINER.json POD.json | start ID | exec ID COMMAND... | pods | inspectp POD_ID
stop ID | rm ID | stopp POD_ID | rmp POD_ID | info. Messages are written by the field numbers of CRI's api.proto.
"""
import json, sys
import grpc

SOCKET = "unix:///run/containerd/containerd.sock"
TEXT, NUMBER, MAP = "text", "number", "map"
METADATA = {"name": (1, TEXT), "uid": (2, TEXT), "namespace": (3, TEXT), "attempt": (4, NUMBER)}
DNS = {"servers": (1, TEXT), "searches": (2, TEXT), "options": (3, TEXT)}
PORT = {"protocol": (1, NUMBER), "container_port": (2, NUMBER), "host_port": (3, NUMBER), "host_ip": (4, TEXT)}
POD = {
    "metadata": (1, METADATA), "hostname": (2, TEXT), "log_directory": (3, TEXT), "dns_config": (4, DNS),
    "port_mappings": (5, PORT), "labels": (6, MAP), "annotations": (7, MAP), "linux": (8, {}),
}
CONTAINER = {
    "metadata": (1, {"name": (1, TEXT), "attempt": (2, NUMBER)}), "image": (2, {"image": (1, TEXT)}),
    "command": (3, TEXT), "args": (4, TEXT), "labels": (9, MAP), "log_path": (11, TEXT), "linux": (15, {}),
}


def varint(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes(out + bytes([number]))


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def encode(message, schema):
    out = b""
    for name, value in message.items():
        number, kind = schema[name]
        if kind == MAP:
            value = [field(1, key) + field(2, text) for key, text in value.items()]
        for one in value if isinstance(value, list) else [value]:
            out += field(number, encode(one, kind) if isinstance(kind, dict) else one)
    return out


def decode(data):
    """Field numbers with their values: numbers, or bytes."""
    fields, at = {}, 0

    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        key = number()
        value = number()
        if key & 7 == 2:
            value, at = data[at:at + value], at + value
        fields.setdefault(key >> 3, []).append(value)
    return fields


def call(method, request, limit=30):
    with grpc.insecure_channel(SOCKET) as channel:
        stub = channel.unary_unary("/runtime.v1.RuntimeService/" + method)
        try:
            return decode(stub(request, timeout=limit))
        except grpc.RpcError as error:
            sys.exit(f"{method}: {error.details()}")


def text(fields, number):
    return fields.get(number, [b""])[0].decode()


def read(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def pod_row(item):
    pod = decode(item)
    metadata = decode(pod[2][0])
    state = "NotReady" if pod.get(3, [0])[0] else "Ready"
    return f"{text(pod, 1)[:13]}  {state:8}  {text(metadata, 1):12}  {text(metadata, 3)}"


def main(command, *args):
    if command == "runp":
        print(text(call("RunPodSandbox", field(1, encode(read(args[0]), POD))), 1))
    elif command == "create":
        request = field(1, args[0]) + field(2, encode(read(args[1]), CONTAINER))
        print(text(call("CreateContainer", request + field(3, encode(read(args[2]), POD))), 1))
    elif command == "exec":
        answer = call("ExecSync", field(1, args[0]) + b"".join(field(2, word) for word in args[1:]))
        sys.stdout.write(text(answer, 1))
        sys.stderr.write(text(answer, 2))
        return answer.get(3, [0])[0]
    elif command == "pods":
        print("POD ID         STATE     NAME          NAMESPACE")
        for item in call("ListPodSandbox", b"").get(1, []):
            print(pod_row(item))
    elif command == "inspectp":
        status = decode(call("PodSandboxStatus", field(1, args[0]))[1][0])
        network = decode(status[5][0])
        others = [text(decode(ip), 1) for ip in network.get(2, [])]
        print(json.dumps({"status": {"id": text(status, 1), "network": {
            "ip": text(network, 1), "additionalIps": [{"ip": ip} for ip in others]}}}, indent=2))
    elif command == "info":
        conditions = decode(call("Status", b"")[1][0])[1]
        shown = [{"type": text(it, 1), "status": bool(it.get(2, [0])[0]), "reason": text(it, 3),
                  "message": text(it, 4)} for it in map(decode, conditions)]
        print(json.dumps({"status": {"conditions": shown}}, indent=2))
    else:
        method = {"start": "StartContainer", "stop": "StopContainer", "rm": "RemoveContainer",
                  "stopp": "StopPodSandbox", "rmp": "RemovePodSandbox"}[command]
        call(method, field(1, args[0]))
        print(args[0])
    return 0


sys.exit(main(*sys.argv[1:]))
