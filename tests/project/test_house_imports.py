"""The reading of imports sees upward imports and circles in made-up checkouts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.project import house_imports as house

HOST = "pytest_gpu/stack/host/mounts.py"
TOOLKIT = "pytest_gpu/stack/toolkit/told.py"
RUN = "pytest_gpu/run/ladder.py"
BELOW = "from pytest_gpu.stack.host import mounts\n"
ABOVE = "from pytest_gpu.stack.toolkit import told\n"


def checkout(root: Path, files: Mapping[str, str]) -> Path:
    """Write files, and the ``__init__.py`` of every folder on the way; return their root."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        for folder in path.relative_to(root).parents[:-1]:
            (root / folder / "__init__.py").touch()
    return root


def test_a_house_in_order_is_clean(tmp_path: Path) -> None:
    """Imports downwards and within a floor are fine; every module has a floor."""
    files = {HOST: "", TOOLKIT: BELOW, RUN: BELOW + ABOVE, "pytest_gpu/stack/kube/x.py": BELOW}
    root = checkout(tmp_path, files)
    assert len(house.imports(root)) == 4
    assert house.upward(root) == []
    assert house.circles(root) == []
    assert house.circles_of_rooms(root) == []
    assert house.without_floor(root) == ()


@pytest.mark.parametrize(
    "text",
    [
        ABOVE,
        "import pytest_gpu.stack.toolkit.told as told\n",
        "from pytest_gpu.stack.toolkit.told import answer\n",
        "from ..toolkit import told\n",
        "from ..toolkit.told import answer\n",
        "def f():\n    from pytest_gpu.stack.toolkit import told\n",
        "if TYPE_CHECKING:\n    from pytest_gpu.stack.toolkit.told import answer\n",
    ],
)
def test_an_upward_import_is_found_however_it_is_written(tmp_path: Path, text: str) -> None:
    """At the top, in a function, for type checking only, relative to the package."""
    root = checkout(tmp_path, {HOST: text, TOOLKIT: ""})
    line = len(text.splitlines())
    assert house.upward(root) == [
        f"pytest_gpu.stack.host.mounts (line {line}) imports pytest_gpu.stack.toolkit.told: upward"
    ]


@pytest.mark.parametrize(
    ("importer", "text", "end"),
    [
        ("pytest_gpu/errors.py", "from pytest_gpu.settings import x", "settings: upward"),
        ("pytest_gpu/stack/host/mounts.py", "from pytest_gpu.survey import x", "survey: upward"),
        ("pytest_gpu/report/x.py", "from pytest_gpu import run", "run: upward"),
        ("pytest_gpu/cluster/api/x.py", "import pytest_gpu.run", "run: upward"),
        ("pytest_gpu/run/x.py", "from pytest_gpu.fixtures import x", "fixtures: upward"),
        ("fixtures/x.py", "from pytest_gpu.conformance import x", "conformance: upward"),
        ("pytest_gpu/probe/x.py", "from pytest_gpu.errors import x", "errors: not allowed here"),
        ("conformance/x.py", "from pytest_gpu.run import x", "run: not allowed here"),
    ],
)
def test_every_room_has_its_floor(tmp_path: Path, importer: str, text: str, end: str) -> None:
    """Words import nothing above them, the probe nothing of ours, conformance two rooms."""
    names = ("settings", "errors", "survey/a", "run/a", "report/a")
    files = {f"pytest_gpu/{name}.py": "" for name in names}
    others = {"fixtures/a.py": "", "conformance/a.py": ""}
    root = checkout(tmp_path, {**files, **others, importer: text})
    (found,) = house.upward(root)
    assert found.endswith(f".{end}")


def test_what_a_closed_room_is_allowed_is_not_blamed(tmp_path: Path) -> None:
    """Conformance may import words, the stack, fixtures and itself; the probe only itself."""
    lines = (BELOW, "from pytest_gpu.errors import E\n", "from pytest_gpu.fixtures import x\n")
    files = {
        HOST: "",
        "pytest_gpu/errors.py": "",
        "fixtures/x.py": "",
        "conformance/base.py": "",
        "conformance/test_x.py": "".join(lines) + "from pytest_gpu.conformance import base\n",
        "pytest_gpu/probe/files.py": "",
        "pytest_gpu/probe/main.py": "from pytest_gpu.probe import files\n",
    }
    root = checkout(tmp_path, files)
    assert len(house.imports(root)) == 5
    assert house.upward(root) == []


def test_a_circle_is_found(tmp_path: Path) -> None:
    """Three modules, one import of them inside a function; who only imports them is outside."""
    files = {
        "pytest_gpu/run/a.py": "from pytest_gpu.run import b\n",
        "pytest_gpu/run/b.py": "from pytest_gpu.run.c import x\n",
        "pytest_gpu/run/c.py": "def f():\n    from pytest_gpu.run import a\n",
        "pytest_gpu/run/d.py": "from pytest_gpu.run import a\n",
    }
    root = checkout(tmp_path, files)
    assert house.circles(root) == [("pytest_gpu.run.a", "pytest_gpu.run.b", "pytest_gpu.run.c")]
    assert house.circles_of_rooms(root) == []


def test_two_circles_are_two(tmp_path: Path) -> None:
    """Each is a group of its own, also where one imports the other."""
    files = {
        "pytest_gpu/run/a.py": "from pytest_gpu.run import b, c\n",
        "pytest_gpu/run/b.py": "from pytest_gpu.run import a\n",
        "pytest_gpu/run/c.py": "from pytest_gpu.run import d\n",
        "pytest_gpu/run/d.py": "from pytest_gpu.run import c\n",
    }
    assert house.circles(checkout(tmp_path, files)) == [
        ("pytest_gpu.run.a", "pytest_gpu.run.b"),
        ("pytest_gpu.run.c", "pytest_gpu.run.d"),
    ]


def test_a_circle_of_rooms_on_one_floor_is_found(tmp_path: Path) -> None:
    """No module is in a circle and no import runs upwards, but the two rooms need each other."""
    kube, distributions = "pytest_gpu/stack/kube", "pytest_gpu/stack/distributions"
    files = {
        f"{kube}/a.py": "from pytest_gpu.stack.distributions import a\n",
        f"{kube}/b.py": "",
        f"{distributions}/a.py": "",
        f"{distributions}/b.py": "from pytest_gpu.stack.kube import b\n",
    }
    root = checkout(tmp_path, files)
    assert (house.upward(root), house.circles(root)) == ([], [])
    assert house.circles_of_rooms(root) == [
        ("pytest_gpu.stack.distributions", "pytest_gpu.stack.kube")
    ]


def test_a_part_of_a_room_that_lies_elsewhere_is_no_room(tmp_path: Path) -> None:
    """What pytest loads beside the plugin may use the run, and the run may register it."""
    files = {
        "pytest_gpu/_xdist.py": "from pytest_gpu.run import items\n",
        "pytest_gpu/run/items.py": "",
        "pytest_gpu/run/startup.py": "def f():\n    from pytest_gpu import _xdist\n",
    }
    root = checkout(tmp_path, files)
    assert len(house.imports(root)) == 2
    assert (house.upward(root), house.circles_of_rooms(root)) == ([], [])
    assert house.without_floor(root) == ()


def test_a_module_without_a_floor_is_named_and_not_judged(tmp_path: Path) -> None:
    """A new package has no floor until somebody gives it one."""
    files = {HOST: "from pytest_gpu.garage import car\n", "pytest_gpu/garage/car.py": ABOVE}
    root = checkout(tmp_path, {**files, TOOLKIT: ""})
    assert house.upward(root) == []
    assert house.without_floor(root) == ("pytest_gpu.garage", "pytest_gpu.garage.car")


def test_every_room_is_on_one_floor() -> None:
    """A room on two floors would make an import that runs upwards look fine."""
    rooms = [room for floor in house.FLOORS for room in floor]
    assert len(rooms) == len(set(rooms))
    assert [house.floor_of(room) for floor in house.FLOORS for room in floor] == [
        number for number, floor in enumerate(house.FLOORS) for _ in floor
    ]
