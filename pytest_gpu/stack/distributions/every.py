"""All distributions that are known, and what is asked of all of them at once.

Every module of ``products`` has a tuple ``PRODUCTS``. A new distribution is one more module there;
no list names it. Their order means nothing: the signs of one are not those of another.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache

from pytest_gpu.stack.distributions import products as package
from pytest_gpu.stack.distributions.distribution import OwnContainerd, Product
from pytest_gpu.stack.distributions.rendered import Rendered

_CRICTL = (
    ("crictl",),
    ("/usr/local/bin/crictl",),
    ("/usr/bin/crictl",),
    ("/opt/bin/crictl",),
)
"""Along a shell's PATH, then where packages, kubeadm's documents and Flatcar put it."""


@cache
def products() -> tuple[Product, ...]:
    """Return every product, by the name of its module."""
    names = sorted(module.name for module in pkgutil.iter_modules(package.__path__))
    modules = (importlib.import_module(f"{package.__name__}.{name}") for name in names)
    return tuple(product for module in modules for product in module.PRODUCTS)


def rendered_at(config: str) -> Rendered | None:
    """Return how a configuration of containerd is rendered, ``None`` where it is none of those."""
    rules = (product.rendered for product in products())
    return next((rule for rule in rules if rule and config.endswith(rule.end)), None)


def configs() -> tuple[str, ...]:
    """Return the usual files of every distribution's containerd."""
    return tuple(path for product in products() for path in product.configs)


def crictl_commands() -> tuple[tuple[str, ...], ...]:
    """Return the commands that start crictl: as packages install it, then distributions.

    The visit and the sandboxes try the same ones; one without a path only a shell can find.
    """
    return (*_CRICTL, *(command for product in products() for command in product.crictl))


def settings_files() -> tuple[str, ...]:
    """Return the files in which distributions have settings of their own."""
    return tuple(product.settings for product in products() if product.settings)


def libraries() -> tuple[str, ...]:
    """Return the folders in which images of distributions keep the driver's libraries."""
    return tuple(path for product in products() for path in product.libraries)


def copied_files() -> tuple[str, ...]:
    """Return the files of images that are copied over containerd's configuration at boot."""
    return tuple(path for product in products() for path in product.copied)


def own_containerd(program: str) -> OwnContainerd | None:
    """Return what the containerd of a distribution uses that shows no flags, by its program."""
    found = (product.containerd for product in products())
    return next((own for own in found if own and program.startswith(own.folder)), None)


@cache
def embedding() -> Mapping[str, frozenset[str]]:
    """Return the programs that have a kubelet inside, with the sub-commands that start it."""
    return {name: words for each in products() for name, words in each.embedding.items()}
