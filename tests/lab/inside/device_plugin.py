#!/usr/bin/python3
"""The lab's device plugin (kubelet API v1beta1): GPUs as NVML counts them.

Like NVIDIA's it needs libnvidia-ml.so.1 in its container, so the nvidia runtime must inject it.
``/etc/nvidia-lab/plugin.json`` on the node may hold ``{"unhealthy": [UUID or index, …],
"replicas": 4, "hide": 1}``; it is read every second. Protobuf is written by hand: four messages.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import time
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc

FOLDER = Path("/var/lib/kubelet/device-plugins")
KUBELET = FOLDER / "kubelet.sock"
SOCKET = FOLDER / "nvidia-gpu.sock"
SETTINGS = Path("/etc/nvidia-lab/plugin.json")
RESOURCE = os.environ.get("LAB_RESOURCE", "nvidia.com/gpu")
SERVICE = "v1beta1.DevicePlugin"


def number(value: int) -> bytes:
    """Encode a varint."""
    encoded = b""
    while value > 127:
        encoded += bytes([value & 127 | 128])
        value >>= 7
    return encoded + bytes([value])


def field(index: int, value: bytes | str) -> bytes:
    """Encode a field of bytes, text or a message."""
    data = value.encode() if isinstance(value, str) else value
    return number(index << 3 | 2) + number(len(data)) + data


def fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Decode a message whose fields are all of bytes, text or messages."""
    at = 0
    while at < len(data):
        key, at = _number(data, at)
        length, at = _number(data, at)
        yield key >> 3, data[at : at + length]
        at += length


def _number(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        shift += 7
        at += 1
        if data[at - 1] < 128:
            return value, at


def uuids() -> list[str]:
    """Ask NVML for the UUIDs of all GPUs; exits when it does not answer."""
    try:
        nvml = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        sys.exit("error starting plugins: failed to initialize NVML: ERROR_LIBRARY_NOT_FOUND")
    if code := nvml.nvmlInit_v2():
        nvml.nvmlErrorString.restype = ctypes.c_char_p
        text = nvml.nvmlErrorString(code).decode()
        sys.exit(f"error starting plugins: failed to initialize NVML: {text}")
    count, found = ctypes.c_uint(), []
    nvml.nvmlDeviceGetCount_v2(ctypes.byref(count))
    for index in range(count.value):
        handle, text = ctypes.c_void_p(), ctypes.create_string_buffer(96)
        if not nvml.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(handle)):
            nvml.nvmlDeviceGetUUID(handle, text, 96)
            found.append(text.value.decode())
    return found


def settings() -> dict[str, Any]:
    """Return what the lab wants of this plugin now."""
    try:
        wanted: dict[str, Any] = json.loads(SETTINGS.read_text())
    except (OSError, ValueError):
        return {}
    return wanted


def devices(known: list[str]) -> bytes:
    """Return the ListAndWatchResponse of this moment."""
    wanted = settings()
    bad = {str(name) for name in wanted.get("unhealthy", ())}
    shown = known[: len(known) - int(wanted.get("hide", 0))]
    answer = b""
    for index, uuid in enumerate(shown):
        health = "Unhealthy" if {uuid, str(index)} & bad else "Healthy"
        replicas = int(wanted.get("replicas", 1))
        names = [f"{uuid}::{n}" for n in range(replicas)] if replicas > 1 else [uuid]
        answer += b"".join(field(1, field(1, name) + field(2, health)) for name in names)
    return answer


def watch(known: list[str], context: grpc.ServicerContext) -> Iterator[bytes]:
    """Send the devices whenever they change."""
    last = None
    while context.is_active():
        now = devices(known)
        if now != last:
            yield now
        last = now
        time.sleep(1)


def allocate(request: bytes) -> bytes:
    """Answer with the variable by which the nvidia runtime knows what to inject."""
    answer = b""
    for _, container in fields(request):
        names = [name.decode().partition("::")[0] for _, name in fields(container)]
        print("Allocate", *names, flush=True)  # noqa: T201 - the pod's log
        variable = field(1, "NVIDIA_VISIBLE_DEVICES") + field(2, ",".join(names))
        answer += field(1, field(1, variable))
    return answer


def serve(known: list[str]) -> grpc.Server:
    """Serve the plugin and register it with the kubelet."""
    one, many = grpc.unary_unary_rpc_method_handler, grpc.unary_stream_rpc_method_handler
    methods = {
        "GetDevicePluginOptions": one(lambda _request, _context: b""),
        "ListAndWatch": many(lambda _request, context: watch(known, context)),
        "Allocate": one(lambda request, _context: allocate(request)),
        "PreStartContainer": one(lambda _request, _context: b""),
        "GetPreferredAllocation": one(lambda _request, _context: b""),
    }
    SOCKET.unlink(missing_ok=True)
    server = grpc.server(futures.ThreadPoolExecutor(8))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, methods),))
    server.add_insecure_port(f"unix:{SOCKET}")
    server.start()
    options = [("grpc.default_authority", "localhost")]
    with grpc.insecure_channel(f"unix:{KUBELET}", options=options) as channel:
        message = field(1, "v1beta1") + field(2, SOCKET.name) + field(3, RESOURCE)
        channel.unary_unary("/v1beta1.Registration/Register")(message, timeout=10)
    print(f"Registered device plugin for {RESOURCE} with Kubelet", flush=True)  # noqa: T201
    return server


def main() -> None:
    """Be the program: register again whenever the kubelet has started anew."""
    known = uuids()
    server, kubelet = serve(known), KUBELET.stat().st_ino
    while True:
        time.sleep(1)
        try:
            if KUBELET.stat().st_ino != kubelet or not SOCKET.exists():
                server.stop(0)
                kubelet = KUBELET.stat().st_ino
                server = serve(known)
        except (OSError, grpc.RpcError) as error:
            print(f"waiting for the kubelet: {error}", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
