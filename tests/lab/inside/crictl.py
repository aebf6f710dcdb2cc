"""The lab's stand-in for crictl: real CRI v1 calls, the part of the command line that is needed.

crictl is in no Debian suite. For the sub-commands see LISTING and CHANGING; output and errors are
worded as crictl's.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import cri_api_pb2 as cri
import grpc
from google.protobuf import json_format

VERSION = "v1.31.1"
SOCKETS = ("/run/containerd/containerd.sock", "/run/crio/crio.sock")
STATES = ("Created", "Running", "Exited", "Unknown")


class Cri:
    """The runtime's services."""

    def __init__(self, endpoint: str, seconds: float) -> None:
        """Talk to the socket at ``endpoint``, waiting at most ``seconds`` for each answer."""
        options = [("grpc.default_authority", "localhost")]
        path = endpoint.removeprefix("unix://")
        self.channel = grpc.insecure_channel(f"unix:{path}", options=options)
        self.seconds = seconds

    def call(self, method: str, request: Any = None, service: str = "Runtime") -> Any:
        """Make one call; the types of request and answer follow from its name."""
        call = self.channel.unary_unary(
            f"/runtime.v1.{service}Service/{method}",
            request_serializer=getattr(cri, f"{method}Request").SerializeToString,
            response_deserializer=getattr(cri, f"{method}Response").FromString,
        )
        return call(request or getattr(cri, f"{method}Request")(), timeout=self.seconds)


def say(text: str) -> None:
    """Print a line."""
    sys.stdout.write(text + "\n")


def parse(path: str, message: Any) -> Any:
    """Read a JSON file into a message; fields that the message does not know are passed over."""
    text = sys.stdin.read() if path == "-" else Path(path).read_text()
    return json_format.Parse(text, message, ignore_unknown_fields=True)


def as_json(message: Any) -> Any:
    """Return a message as plain types, with the names that crictl prints."""
    return json_format.MessageToDict(message, including_default_value_fields=True)


def version(runtime: Cri, _options: argparse.Namespace) -> None:
    """Print the versions."""
    answer = runtime.call("Version")
    say(f"Version:  {answer.version}\nRuntimeName:  {answer.runtime_name}")
    say(f"RuntimeVersion:  {answer.runtime_version}")
    say(f"RuntimeApiVersion:  {answer.runtime_api_version}")


def info(runtime: Cri, _options: argparse.Namespace) -> None:
    """Print the runtime's status and its own configuration."""
    answer = runtime.call("Status", cri.StatusRequest(verbose=True))
    shown = {"status": as_json(answer.status)}
    shown["runtimeHandlers"] = [as_json(handler) for handler in answer.runtime_handlers]
    for name, text in sorted(answer.info.items()):
        try:
            shown[name] = json.loads(text)
        except ValueError:
            shown[name] = text
    say(json.dumps(shown, indent=2))


def images(runtime: Cri, options: argparse.Namespace) -> None:
    """List images."""
    answer = runtime.call("ListImages", service="Image")
    if options.output == "json":
        say(json.dumps(as_json(answer), indent=2))
        return
    for image in answer.images:
        say(image.id if options.quiet else "\t".join([*image.repo_tags, image.id, str(image.size)]))


def make_pod(runtime: Cri, options: argparse.Namespace) -> tuple[str, Any]:
    """Start a sandbox; return its ID and its configuration."""
    config = parse(options.pod, cri.PodSandboxConfig())
    if not (config.metadata.name and config.metadata.namespace):
        raise ValueError("name or namespace is not in metadata")
    config.metadata.uid = config.metadata.uid or f"lab-{config.metadata.name}"
    request = cri.RunPodSandboxRequest(config=config, runtime_handler=options.runtime)
    return runtime.call("RunPodSandbox", request).pod_sandbox_id, config


def runp(runtime: Cri, options: argparse.Namespace) -> None:
    """Start a sandbox."""
    say(make_pod(runtime, options)[0])


def make_container(runtime: Cri, pod: str, pod_config: Any, path: str) -> str:
    """Create a container and return its ID."""
    config = parse(path, cri.ContainerConfig())
    request = cri.CreateContainerRequest(
        pod_sandbox_id=pod, config=config, sandbox_config=pod_config
    )
    return str(runtime.call("CreateContainer", request).container_id)


def create(runtime: Cri, options: argparse.Namespace) -> None:
    """Create a container in a sandbox."""
    pod_config = parse(options.pod, cri.PodSandboxConfig())
    say(make_container(runtime, options.sandbox, pod_config, options.container))


def start(runtime: Cri, options: argparse.Namespace) -> None:
    """Start containers."""
    for name in options.ids:
        runtime.call("StartContainer", cri.StartContainerRequest(container_id=name))
        say(name)


def run(runtime: Cri, options: argparse.Namespace) -> None:
    """Start a sandbox with a container in it."""
    pod, pod_config = make_pod(runtime, options)
    container = make_container(runtime, pod, pod_config, options.container)
    runtime.call("StartContainer", cri.StartContainerRequest(container_id=container))
    say(container)


def labels(options: argparse.Namespace) -> dict[str, str]:
    """Return the labels asked for."""
    return dict(label.split("=", 1) for label in options.label)


def pods(runtime: Cri, options: argparse.Namespace) -> None:
    """List sandboxes."""
    wanted = cri.PodSandboxFilter(label_selector=labels(options))
    answer = runtime.call("ListPodSandbox", cri.ListPodSandboxRequest(filter=wanted))
    if options.output == "json":
        say(json.dumps(as_json(answer), indent=2))
        return
    for pod in answer.items:
        state = ("Ready", "NotReady")[pod.state]
        rest = (state, pod.metadata.name, pod.metadata.namespace, pod.runtime_handler)
        say(pod.id if options.quiet else "\t".join([pod.id[:13], *rest]))


def ps(runtime: Cri, options: argparse.Namespace) -> None:
    """List containers: those that run, or all."""
    wanted = cri.ContainerFilter(
        label_selector=labels(options), pod_sandbox_id=options.pod or "", id=options.id or ""
    )
    answer = runtime.call("ListContainers", cri.ListContainersRequest(filter=wanted))
    shown = [c for c in answer.containers if options.all or c.state == cri.CONTAINER_RUNNING]
    if options.output == "json":
        say(json.dumps({"containers": [as_json(container) for container in shown]}, indent=2))
        return
    for container in shown:
        rest = (container.image.image, STATES[container.state], container.metadata.name)
        line = "\t".join([container.id[:13], *rest, container.pod_sandbox_id[:13]])
        say(container.id if options.quiet else line)


def inspect(runtime: Cri, options: argparse.Namespace) -> None:
    """Print the status of containers."""
    for name in options.ids:
        request = cri.ContainerStatusRequest(container_id=name)
        say(json.dumps(as_json(runtime.call("ContainerStatus", request)), indent=2))


def inspectp(runtime: Cri, options: argparse.Namespace) -> None:
    """Print the status of sandboxes."""
    for name in options.ids:
        request = cri.PodSandboxStatusRequest(pod_sandbox_id=name)
        say(json.dumps(as_json(runtime.call("PodSandboxStatus", request)), indent=2))


def logs(runtime: Cri, options: argparse.Namespace) -> None:
    """Print what a container wrote; the log's lines are ``TIME STREAM P|F TEXT``."""
    request = cri.ContainerStatusRequest(container_id=options.ids[0])
    status = runtime.call("ContainerStatus", request).status
    for line in Path(status.log_path).read_text().splitlines():
        _, stream, part, *text = line.split(" ", 3)
        out = sys.stderr if stream == "stderr" else sys.stdout
        out.write("".join(text) + ("\n" if part.startswith("F") else ""))


def stop(runtime: Cri, options: argparse.Namespace) -> None:
    """Stop containers."""
    for name in options.ids:
        seconds = options.timeout_stop
        runtime.call("StopContainer", cri.StopContainerRequest(container_id=name, timeout=seconds))
        say(name)


def rm(runtime: Cri, options: argparse.Namespace) -> None:
    """Remove containers."""
    for name in options.ids:
        if options.force:
            runtime.call("StopContainer", cri.StopContainerRequest(container_id=name))
        runtime.call("RemoveContainer", cri.RemoveContainerRequest(container_id=name))
        say(name)


def stopp(runtime: Cri, options: argparse.Namespace) -> None:
    """Stop sandboxes."""
    for name in options.ids:
        runtime.call("StopPodSandbox", cri.StopPodSandboxRequest(pod_sandbox_id=name))
        say(f"Stopped sandbox {name}")


def rmp(runtime: Cri, options: argparse.Namespace) -> None:
    """Remove sandboxes."""
    for name in options.ids:
        if options.force:
            runtime.call("StopPodSandbox", cri.StopPodSandboxRequest(pod_sandbox_id=name))
        runtime.call("RemovePodSandbox", cri.RemovePodSandboxRequest(pod_sandbox_id=name))
        say(f"Removed sandbox {name}")


def rmi(runtime: Cri, options: argparse.Namespace) -> None:
    """Remove images."""
    for name in options.ids:
        spec = cri.ImageSpec(image=name)
        runtime.call("RemoveImage", cri.RemoveImageRequest(image=spec), service="Image")
        say(f"Deleted: {name}")


def pull(runtime: Cri, options: argparse.Namespace) -> None:
    """Pull images."""
    for name in options.ids:
        spec = cri.ImageSpec(image=name)
        answer = runtime.call("PullImage", cri.PullImageRequest(image=spec), service="Image")
        say(f"Image is up to date for {answer.image_ref}")


LISTING = (version, info, images, ps, pods, inspect, inspectp, logs)
CHANGING = (runp, create, start, run, stop, rm, stopp, rmp, pull, rmi)
COMMANDS = {command.__name__: command for command in (*LISTING, *CHANGING)}
NAMED = ("stop", "rm", "stopp", "rmp", "pull", "rmi")
FAILURES = {
    "runp": "run pod sandbox",
    "run": "running container",
    "create": "creating container",
    "start": "starting the container",
    "rmp": "removing the pod sandbox",
    "stopp": "stopping the pod sandbox",
}


def seconds(text: str) -> float:
    """Read a duration as Go writes it: 10s, 2m, or bare seconds."""
    units = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
    unit = next((u for u in units if text.endswith(u)), "")
    return float(text.removesuffix(unit)) * units.get(unit, 1.0)


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    top = argparse.ArgumentParser(prog="crictl", allow_abbrev=False)
    top.add_argument("--version", "-v", action="version", version=f"crictl version {VERSION}")
    top.add_argument("--runtime-endpoint", "-r", default="")
    top.add_argument("--image-endpoint", "-i", default="")
    top.add_argument("--timeout", "-t", type=seconds, default=120.0)
    top.add_argument("--config", "-c")
    top.add_argument("--debug", "-D", action="store_true")
    commands = top.add_subparsers(dest="command", required=True)
    made = {name: commands.add_parser(name, allow_abbrev=False) for name in COMMANDS}
    for name in ("runp", "run"):
        made[name].add_argument("--runtime", default="")
        made[name].add_argument("--cancel-timeout")
    made["create"].add_argument("sandbox")
    for name in ("create", "run"):
        made[name].add_argument("--no-pull", action="store_true")
        made[name].add_argument("container")
    for name in ("create", "run", "runp"):
        made[name].add_argument("pod")
    for name in ("images", "ps", "pods"):
        made[name].add_argument("--quiet", "-q", action="store_true")
    for name in ("images", "ps", "pods", "info", "inspect", "inspectp", "version"):
        made[name].add_argument("--output", "-o", default="")
    for name in ("ps", "pods"):
        made[name].add_argument("--label", action="append", default=[])
    made["ps"].add_argument("--all", "-a", action="store_true")
    made["ps"].add_argument("--pod", "-p")
    made["ps"].add_argument("--id")
    for name in (
        "start",
        "inspect",
        "inspectp",
        "logs",
        "stop",
        "rm",
        "stopp",
        "rmp",
        "rmi",
        "pull",
    ):
        made[name].add_argument("ids", nargs="+")
    for name in ("rm", "rmp"):
        made[name].add_argument("--force", "-f", action="store_true")
    made["stop"].add_argument("--timeout", dest="timeout_stop", type=int, default=0)
    return top


def main() -> None:
    """Be the program."""
    options = parser().parse_args()
    known = (path for path in SOCKETS if Path(path).exists())
    endpoint = options.runtime_endpoint or next(known, SOCKETS[0])
    what = FAILURES.get(options.command, options.command)
    try:
        COMMANDS[options.command](Cri(endpoint, options.timeout), options)
    except grpc.RpcError as error:
        code = error.code().name.title().replace("_", "")
        text = f"rpc error: code = {code} desc = {error.details()}"
        sys.exit(f"FATA[0000] {what}: {text}")
    except (OSError, ValueError, json_format.ParseError) as error:
        sys.exit(f"FATA[0000] {what}: {error}")


if __name__ == "__main__":
    main()
