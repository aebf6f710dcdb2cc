"""The real CDI library of two generations, built from Debian's packages into a small program.

Debian's containerd of a suite is built with that suite's library: 0.8.0 (1.7.24), 1.0.1 (2.1.9).
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from tests.lab.parts import debian

LIBRARIES = {"1.7": "trixie", "2.x": "sid"}
"""The suite of the library that each generation of containerd reads specs with."""

NEWEST = {"1.7": "0.8.0", "2.x": "1.0.0"}
"""The newest version of the specification that each of them knows."""

SOURCES = (
    "golang-github-blang-semver-dev",
    "golang-github-container-orchestrated-devices-container-device-interface-dev",
    "golang-github-fsnotify-fsnotify-dev",
    "golang-github-hashicorp-errwrap-dev",
    "golang-github-hashicorp-go-multierror-dev",
    "golang-github-opencontainers-runtime-tools-dev",
    "golang-github-opencontainers-selinux-dev",
    "golang-github-opencontainers-specs-dev",
    "golang-github-sirupsen-logrus-dev",
    "golang-github-xeipuuv-gojsonpointer-dev",
    "golang-github-xeipuuv-gojsonreference-dev",
    "golang-github-xeipuuv-gojsonschema-dev",
    "golang-gocapability-dev",
    "golang-golang-x-mod-dev",
    "golang-golang-x-sys-dev",
    "golang-gopkg-yaml.v3-dev",
    "golang-k8s-sigs-yaml-dev",
    "golang-tags.cncf-container-device-interface-dev",
)
BY_SUITE = {"sid": ("golang-github-cyphar-filepath-securejoin-dev", "golang-gopkg-yaml.v2-dev")}
GO = ("golang-1.24-go", "golang-1.24-src")

# Prints, as JSON, why each file of the directories is refused, and all devices that are found.
PROGRAM = """
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"tags.cncf.io/container-device-interface/pkg/cdi"
)

func read(file string) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	_, err = cdi.ReadSpec(file, 0)
	return err
}

func devices(directories []string) (found []string) {
	defer func() {
		if r := recover(); r != nil {
			found = nil
		}
	}()
	cache, _ := cdi.NewCache(cdi.WithSpecDirs(directories...), cdi.WithAutoRefresh(false))
	return cache.ListDevices()
}

func main() {
	errors := map[string]string{}
	for _, directory := range os.Args[1:] {
		files, _ := filepath.Glob(filepath.Join(directory, "*"))
		for _, file := range files {
			errors[file] = ""
			if err := read(file); err != nil {
				errors[file] = err.Error()
			}
		}
	}
	said := map[string]interface{}{"errors": errors, "devices": devices(os.Args[1:])}
	json.NewEncoder(os.Stdout).Encode(said)
}
"""


class Library:
    """One built program."""

    def __init__(self, program: Path) -> None:
        self._program = program

    def said(self, directories: Sequence[Path]) -> tuple[Mapping[str, str], frozenset[str]]:
        """Return why each file is refused (empty: it is not), and the names of all devices."""
        argv = [str(self._program), *map(str, directories)]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=True)
        answer = json.loads(done.stdout)
        return answer["errors"], frozenset(answer["devices"] or ())


@cache
def library(generation: str) -> Library:
    """Return the program of a generation, built at the first call and kept in the cache folder.

    Raises:
        Missing: this machine cannot build it.
    """
    debian.require_debian()
    program = debian.cache() / f"cdi-{LIBRARIES[generation]}" / "judge"
    with debian.locked(debian.cache() / f"cdi-{LIBRARIES[generation]}.lock"):
        if not program.exists():
            _build(generation, program)
    return Library(program)


def _build(generation: str, program: Path) -> None:
    suite = LIBRARIES[generation]
    go = debian.unpacked("golang-1.24", "trixie", *GO) / "usr/lib/go-1.24"
    sources = debian.unpacked(f"cdi-go-{suite}", suite, *SOURCES, *BY_SUITE.get(suite, ()))
    work = program.with_name("work")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    (work / "main.go").write_text(PROGRAM)
    environment = debian.go_environment(go, sources / "usr/share/gocode", work)
    argv = ["nice", "-n", "19", str(go / "bin/go"), "build", "-o", str(program), "main.go"]
    done = subprocess.run(
        argv, check=False, cwd=work, env=environment, capture_output=True, text=True, timeout=1800
    )
    if done.returncode:
        raise debian.Missing(f"go build of the CDI library: {done.stderr[-500:]}")
    shutil.rmtree(work)
