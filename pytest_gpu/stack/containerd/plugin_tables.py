"""The plugin sections that containerd has after all files are merged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_gpu.causes import Evidence
from pytest_gpu.stack.containerd.config_file import CRI_IMAGES, CRI_V1, CRI_V2, CRI_V3
from pytest_gpu.stack.containerd.load import is_old, listed
from pytest_gpu.stack.containerd.release import Generation
from pytest_gpu.stack.containerd.schema import NRI, SERVER, cri, images
from pytest_gpu.stack.containerd.values import Decoder, TomlValue, merged

NRI_URI = "io.containerd.nri.v1.nri"

# What 2.x moves from the old section to the image section.
_TO_IMAGES = (
    "registry",
    "image_decryption",
    "max_concurrent_downloads",
    "image_pull_progress_timeout",
    "image_pull_with_sync_fs",
    "stats_collect_period",
)
_TO_SERVER = (
    "disable_tcp_service",
    "stream_server_address",
    "stream_server_port",
    "stream_idle_timeout",
    "enable_tls_streaming",
    "x509_key_pair_streaming",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sections:
    """The decoded sections, ``None`` for a section that no file sets.

    ``cri`` has the sandbox image and the snapshotter in their 1.x places, whatever section 2.x
    keeps them in. ``disabled`` are the full names of disabled plugins.
    """

    modern: bool
    cri: TomlValue | None
    nri: TomlValue | None
    disabled: tuple[str, ...]
    wrong: list[Evidence]


def merged_version(roots: Sequence[TomlValue], generation: Generation) -> int:
    """Return the version as which the merged configuration is read: the last one that a file sets.

    2.x starts at its own version and migrates a version 1 file to the version reached so far; 2.3
    migrates every file to its own version.
    """
    version = generation.assumed_config
    if generation.migrates_each_file:
        return max([version, *map(number, roots)])
    for root in roots:
        told = root.get("version")
        if told and told.value and not (generation.takes_over_older_sections and told.value == 1):
            version = told.value
    return version


def sections(roots: Sequence[TomlValue], version: int, generation: Generation) -> Sections:
    """Return the sections that count in a merged configuration of a version.

    1.x reads only the section name of that version. 2.x reads the newest names; if the merged
    version is older, it takes values that are missing there from the older name.
    """
    if not generation.merges_sections:
        return _old(roots, version, generation)
    decoder = Decoder(modern=True)
    found = _merged(roots, decoder if generation.migrates_each_file else None)
    if version < 3:
        _migrate(found, decoder)
    section = decoder.decode(cri(generation), _some(found.get(CRI_V3)))
    image = decoder.decode(images(generation), _some(found.get(CRI_IMAGES)))
    decoder.decode(SERVER, _some(found.get(CRI_V2)))
    return Sections(
        modern=True,
        cri=_with_images(section, image),
        nri=decoder.decode(NRI, _some(found.get(NRI_URI))),
        disabled=tuple(_renamed(name) if is_old(r) else name for r in roots for name in _off(r)),
        wrong=decoder.wrong,
    )


def _off(root: TomlValue) -> list[str]:
    return [name for name, _ in listed(root, "disabled_plugins")]


def _some(told: TomlValue | None) -> list[TomlValue]:
    return [told] if told else []


def _old(roots: Sequence[TomlValue], version: int, generation: Generation) -> Sections:
    """Return 1.x's sections: those of the last file that has one; version 1 uses short names."""
    decoder = Decoder(modern=False)
    section, nri = (CRI_V1, "nri") if version == 1 else (CRI_V2, NRI_URI)
    names = [n for root in roots for n in _off(root) if n not in {CRI_V3, CRI_IMAGES}]
    if version == 1:
        # A full name has no effect there: 1.x compares it with the short ones.
        names = [_renamed(name) for name in names if "." not in name]
    found = decoder.decode(cri(generation), _last(roots, section))
    nri_found = decoder.decode(NRI, _last(roots, nri)) if generation.knows_nri else None
    return Sections(
        modern=False,
        cri=found,
        nri=nri_found,
        disabled=tuple(names),
        wrong=decoder.wrong,
    )


def _last(roots: Sequence[TomlValue], plugin: str) -> list[TomlValue]:
    found = [root.get("plugins", plugin) for root in roots]
    return [each for each in found if each][-1:]


def _renamed(name: str) -> str:
    """Return the later name of a version 1 plugin; 2.x accepts full names as well."""
    return CRI_V2 if name == CRI_V1 else name


def _merged(roots: Sequence[TomlValue], decoder: Decoder | None) -> dict[str, TomlValue]:
    """Merge all files' sections as 2.x does, with version 1 names changed to version 2's.

    With a ``decoder`` each file older than version 4 is migrated before it is merged.
    """
    found: dict[str, TomlValue] = {}
    for root in roots:
        plugins = root.get("plugins")
        own = dict(plugins.value) if plugins else {}
        if CRI_V1 in own and is_old(root):
            own[CRI_V2] = own.pop(CRI_V1)
        if decoder and number(root) < 4:
            _migrate(own, decoder)
        for name, told in own.items():
            found[name] = merged(found.get(name), told)
    return found


def number(root: TomlValue) -> int:
    """Return the version that a file sets, 0 if it sets none."""
    told = root.get("version")
    return told.value if told else 0


def _migrate(found: dict[str, TomlValue], decoder: Decoder) -> None:
    """Move the old section's values to the newest sections, in place."""
    old = found.get(CRI_V2)
    if old is None:
        return
    if not old.is_table:
        decoder.refuse(old, "must be a table")
        return
    new = found.get(CRI_V3, TomlValue({}, old.file, old.path))
    found[CRI_V3] = _to_runtime(old, new, decoder)
    image = found.get(CRI_IMAGES, TomlValue({}, old.file, old.path))
    found[CRI_IMAGES] = _to_images(old, image)


def _to_runtime(old: TomlValue, new: TomlValue, decoder: Decoder) -> TomlValue:
    """Return the runtime section: its own values, else those of the old section."""
    moved = {"cni", "containerd", "sandbox_image", *_TO_IMAGES, *_TO_SERVER}
    value = _without(old, moved) | _value(new)
    cni = old.get("cni")
    if cni and cni.is_table:
        value["cni"] = _cni(cni, new.get("cni"))
    if containerd := _table(old, "containerd", decoder):
        to_images = {"snapshotter", "disable_snapshot_annotations", "discard_unpacked_layers"}
        own = _without(containerd, to_images) | _value(new.get("containerd"))
        value["containerd"] = TomlValue(own, containerd.file, containerd.path)
        if runtimes := _table(value["containerd"], "runtimes", decoder):
            decoder.check_tables(runtimes)
    return TomlValue(value, old.file, old.path)


def _cni(old: TomlValue, new: TomlValue | None) -> TomlValue:
    """Return the CNI's table; the old table's single folder becomes the new table's list."""
    value = _without(old, {"bin_dir"}) | _value(new)
    if one := old.get("bin_dir"):
        value["bin_dirs"] = TomlValue([one.value], one.file, one.path)
    return TomlValue(value, old.file, old.path)


def _to_images(old: TomlValue, new: TomlValue) -> TomlValue:
    """Return the image section: the old section wins, its snapshotter only if it has runtimes."""
    value = _value(new) | {key: old.value[key] for key in _TO_IMAGES if key in old.value}
    if sandbox := old.get("sandbox_image"):
        pinned = _value(new.get("pinned_images")) | {"sandbox": sandbox}
        value["pinned_images"] = TomlValue(pinned, sandbox.file, sandbox.path)
    snapshotter = old.get("containerd", "snapshotter")
    if snapshotter and old.get("containerd", "runtimes"):
        value["snapshotter"] = snapshotter
    return TomlValue(value, new.file, new.path)


def _with_images(section: TomlValue | None, image: TomlValue | None) -> TomlValue | None:
    """Return the CRI's section with the image section's values in their 1.x places."""
    if image is None:
        return section
    value = _value(section)
    if sandbox := image.get("pinned_images", "sandbox"):
        value["sandbox_image"] = sandbox
    if snapshotter := image.get("snapshotter"):
        own = _value(section.get("containerd") if section else None)
        value["containerd"] = TomlValue(
            {**own, "snapshotter": snapshotter}, snapshotter.file, snapshotter.path
        )
    return TomlValue(value, image.file, image.path)


def _table(table: TomlValue, key: str, decoder: Decoder) -> TomlValue | None:
    """Return a table that the migration reads; it crashes on anything else."""
    found = table.get(key)
    if found and not found.is_table:
        decoder.refuse(found, "must be a table")
        return None
    return found


def _without(table: TomlValue, keys: set[str]) -> dict[str, TomlValue]:
    return {key: told for key, told in table.value.items() if key not in keys}


def _value(table: TomlValue | None) -> dict[str, TomlValue]:
    return dict(table.value) if table and table.is_table else {}
