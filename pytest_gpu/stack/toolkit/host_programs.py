"""The toolkit's programs that run on the host, one by one, before a GPU container starts.

Sources: nvidia-container-toolkit, ``cmd/nvidia-ctk-installer/toolkit/installer`` (a copied
program is called ``NAME.real``, and ``NAME`` becomes a wrapper: a shell script, or an ELF file in
newer releases), ``internal/oci/runtime_low_level.go`` and ``internal/lookup/path.go`` (the
runtimes that the NVIDIA runtime looks for, and the directories that it adds to its PATH).
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from pytest_gpu.errors import NotInEvidence
from pytest_gpu.evidence import NodeEvidence
from pytest_gpu.known import known
from pytest_gpu.stack.host.nvidia_programs import is_bottlerockets
from pytest_gpu.stack.host.processes import SEARCH_PATH, Process
from pytest_gpu.stack.host.program import Program
from pytest_gpu.stack.toolkit.own_config import ToolkitConfig, own_config

LIBRARY = "libnvidia-container.so.1"
HOOK, CLI, _CDI_HOOK = "nvidia-container-runtime-hook", "nvidia-container-cli", "nvidia-cdi-hook"
_CTK = "nvidia-ctk"


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchPath:
    """The directories of a PATH; ``known`` says whether it is containerd's own or a guess."""

    folders: tuple[str, ...]
    known: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """The programs of one handler.

    All ``programs`` must exist and run; at least one of ``runtimes`` must exist.
    """

    programs: tuple[Program, ...]
    runtimes: tuple[str, ...]


def search_path(evidence: NodeEvidence, containerd: Process | None) -> SearchPath:
    """Return the PATH of containerd, which its shims and their programs inherit.

    If its environment was not collected: the usual directories, and that of its own program.
    """
    folders = _environment_path(evidence, containerd) if containerd else None
    if folders is not None:
        return SearchPath(folders=tuple(dict.fromkeys(folders)), known=True)
    own = (posixpath.dirname(containerd.exe),) if containerd and containerd.exe else ()
    return SearchPath(folders=(*own, *SEARCH_PATH), known=False)


def _environment_path(evidence: NodeEvidence, process: Process) -> Sequence[str] | None:
    try:
        content = evidence.read(f"/proc/{process.pid}/environ")
    except NotInEvidence:
        return None
    for variable in (content or b"").decode(errors="replace").replace("\n", "\0").split("\0"):
        if variable.startswith("PATH="):
            return [folder for folder in variable[5:].split(":") if folder.startswith("/")]
    return None


def places(name: str, folders: Sequence[str]) -> Sequence[str]:
    """Return the paths at which a program may be: its own path, or one in each directory."""
    if name.startswith("/"):
        return (name,)
    return [posixpath.join(folder, name) for folder in dict.fromkeys(folders)]


def locate(evidence: NodeEvidence, names: Sequence[str], path: SearchPath) -> Program | None:
    """Return the first program of these names along a PATH, ``None`` if there is none.

    Raises:
        NotInEvidence: not every directory was collected, or the PATH is not known.
    """
    unknown: list[str] = []
    for place in [place for name in names for place in places(name, path.folders)]:
        program = Program(evidence, place)
        try:
            if program.entry:
                return program
        except NotInEvidence:
            unknown.append(place)
    if unknown:
        raise NotInEvidence(evidence.name, unknown[0])
    if not path.known and not all(name.startswith("/") for name in names):
        raise NotInEvidence(evidence.name, f"containerd's PATH, needed to find {names[0]},")
    return None


def chain(evidence: NodeEvidence, binary: str, path: SearchPath) -> Chain:
    """Return what starts when containerd starts ``binary``, an absolute path.

    A program that was not collected counts as present, so that it is asked for. Bottlerocket's
    programs are part of an image that is built as a whole, so they are not listed.

    Raises:
        NotInEvidence: the toolkit's own configuration was not collected.
    """
    if is_bottlerockets(binary):
        return Chain(programs=(), runtimes=("runc",))
    config = own_config(evidence, binary)
    names = list(_names(evidence, binary, config, path))
    runtimes = config.value("nvidia-container-runtime.runtimes")
    return Chain(
        programs=tuple(_programs(evidence, names)),
        runtimes=tuple(map(str, runtimes)) if isinstance(runtimes, list) else (),
    )


def _names(
    evidence: NodeEvidence, binary: str, config: ToolkitConfig, path: SearchPath
) -> Iterator[str]:
    """Yield the runtime itself, and what it or its hook starts in this mode and release.

    If the hook injects the GPU: the hook and its program. Newer toolkits do not need these two in
    mode ``auto``; if the version is not known, the program nvidia-cdi-hook shows that the toolkit
    is a newer one.
    """
    yield binary
    if config.by_hook:
        yield from _hook_names(evidence, binary, config, path)
    elif config.by_own_cdi:
        yield from _own_cdi_names(evidence, config, path)


def _own_cdi_names(
    evidence: NodeEvidence, config: ToolkitConfig, path: SearchPath
) -> Iterator[str]:
    """Yield the program of the hooks in the specs that the runtime makes, if it is missing.

    Source: ``ResolveNVIDIACTKPath``: along the PATH, else in /usr/bin. One that is there is not
    looked into: recordings of older suites do not hold it.
    """
    told = str(config.value(f"{_CTK}.path") or _CTK)
    default = posixpath.join("/usr/bin", told)
    candidates = (*places(told, (*path.folders, *SEARCH_PATH)), default)
    if all(_is_there(evidence, place) is False for place in candidates):
        yield default


def _is_there(evidence: NodeEvidence, path: str) -> bool | None:
    """Say whether a path exists, ``None`` if it was not collected."""
    try:
        return evidence.entry(path) is not None
    except NotInEvidence:
        return None


def _hook_names(
    evidence: NodeEvidence, binary: str, config: ToolkitConfig, path: SearchPath
) -> Iterator[str]:
    folder = posixpath.dirname(binary)
    sure = config.mode == "legacy" or config.version is not None
    for name in (HOOK, CLI):
        told = str(config.value(f"{name}.path") or name)
        candidates = places(told, (folder, *path.folders, *SEARCH_PATH))
        found = next((place for place in candidates if _maybe(evidence, place)), None)
        if found or sure or not _maybe(evidence, f"{folder}/{_CDI_HOOK}"):
            yield found or candidates[0]


def _maybe(evidence: NodeEvidence, path: str) -> bool:
    """Say whether a path may exist: it does, or it was not collected."""
    return _is_there(evidence, path) is not False


def _programs(evidence: NodeEvidence, names: Sequence[str]) -> Iterator[Program]:
    """Yield each program, and after a wrapper the program that it wraps."""
    for name in names:
        loads = (LIBRARY,) if posixpath.basename(name) == CLI else ()
        if is_wrapper(evidence, name):
            yield Program(evidence, name)
            # The wrapper of nvidia-container-cli puts its directory into LD_LIBRARY_PATH.
            yield Program(evidence, f"{name}.real", (posixpath.dirname(name),), loads)
        else:
            yield Program(evidence, name, (), loads)


def is_wrapper(evidence: NodeEvidence, path: str) -> bool:
    """Say whether a program of the toolkit is a wrapper, or may be one.

    It is one if the program that it wraps exists, or if the directory has other wrappers.
    """
    folder = posixpath.dirname(path)
    if folder in SEARCH_PATH:
        return False
    for file in (f"{path}.real", f"{folder}/{LIBRARY}"):
        # Asked for at once, which saves the visit a round.
        known(partial(evidence.elf, file))
    if _maybe(evidence, f"{path}.real"):
        return True
    names = known(lambda: evidence.names(folder)) or ()
    return any(name.startswith("nvidia-") and name.endswith(".real") for name in names)
