"""How the generations of containerd differ, at the releases where they change."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from pytest_gpu.stack.containerd.release import Generation

RELEASES = (
    *((1, 6, 36), (1, 7, 0), (1, 7, 24), (2, 0, 0), (2, 1, 0), (2, 1, 9), (2, 2, 1)),
    *((2, 3, 0), (2, 3, 5), (2, 4, 0)),
)

SINCE: Mapping[str, tuple[int, ...]] = {
    "refuses_unknown_config": (1, 7),
    "imports_from_own_folder": (1, 7),
    "has_fields_of_1_7": (1, 7),
    "knows_nri": (1, 7),
    "knows_cdi": (1, 7),
    "go_toml_2": (2, 0),
    "merges_sections": (2, 0),
    "reads_config_3": (2, 0),
    "takes_over_older_sections": (2, 0),
    "nri_by_default": (2, 0),
    "cdi_by_default": (2, 0),
    "tells_cgroup_driver": (2, 0),
    "several_cni_folders": (2, 1),
    "migrates_each_file": (2, 3),
}


@pytest.mark.parametrize("name", SINCE)
def test_what_came_with_a_release_stays(name: str) -> None:
    """What a release brought, all later ones have, and none before it."""
    for version in RELEASES:
        assert getattr(Generation(version), name) is (version[:2] >= SINCE[name]), version


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("one_cri_section", (*[True] * 3, *[False] * 7)),
        ("refuses_newer_drop_ins", (*[False] * 7, True, False, False)),
        ("single_cni_folder", (*[True] * 9, False)),
        ("has_cdi_switch", (False, *[True] * 8, False)),
        ("newest_config", (*[2] * 3, *[3] * 4, *[4] * 3)),
        ("assumed_config", (*[1] * 3, *[3] * 4, *[4] * 3)),
        ("newest_cdi", (*[(0, 5, 0)] * 2, *[(0, 8, 0)] * 3, *[(1, 0, 0)] * 5)),
        ("sandbox_image", ("3.6", *["3.8"] * 2, *["3.10"] * 3, "3.10.1", *["3.10.2"] * 3)),
    ],
)
def test_what_changes_more_than_once(name: str, values: tuple[object, ...]) -> None:
    """What a release replaced has the value of each release."""
    found = [getattr(Generation(version), name) for version in RELEASES]
    if name == "sandbox_image":
        found = [image.removeprefix("registry.k8s.io/pause:") for image in found]
    assert found == [*values]


def test_every_property_is_in_these_tables() -> None:
    """A property that is added is tried here, too."""
    known = {*SINCE, "one_cri_section", "newest_config", "assumed_config", "newest_cdi"}
    known |= {"refuses_newer_drop_ins", "single_cni_folder", "has_cdi_switch"}
    properties = {name for name, each in vars(Generation).items() if isinstance(each, property)}
    assert properties == known | {"sandbox_image"}
