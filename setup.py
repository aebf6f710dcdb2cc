"""Which packages are shipped: all below pytest_gpu, and those of the two folders at the top level.

pyproject.toml has all the rest; it cannot say both "find them" and "they ship below pytest_gpu".
"""

from setuptools import find_packages, setup

MAPPED = ["conformance", "conformance.*", "fixtures", "fixtures.*"]

setup(
    packages=[
        *find_packages(include=["pytest_gpu", "pytest_gpu.*"]),
        *(f"pytest_gpu.{name}" for name in find_packages(include=MAPPED)),
    ]
)
