"""Containers in tests: images are built by buildah and run by podman, in a folder of the test.

No image is fetched. The base is made from the packages of the system by mmdebstrap, and is kept in
``build/container`` for the next run. The first stage needs the indexes of apt and pip.
"""

import json
import os
import resource
import shutil
import subprocess
from pathlib import Path

from support.paths import ROOT
from support.system_root import bare_archive

BASE = "localhost/debian:trixie-slim"
CONTAINERFILE = ROOT / "packaging" / "container" / "Containerfile"

_BUILD_TIMEOUT = 1800.0

_WITHOUT_DOCUMENTS = """set -e
rm -rf /usr/share/doc/* /usr/share/locale/* /usr/share/man/* /var/cache/apt/*
cd /etc/dpkg/dpkg.cfg.d
for each in doc locale man; do echo "path-exclude /usr/share/$each/*"; done >docker
echo 'path-include /usr/share/doc/*/copyright' >>docker
"""
"""As the image on Docker Hub has it, also for what is installed later."""


class Engine:
    """podman and buildah with images and containers in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        hard = {"nofile": resource.RLIMIT_NOFILE, "nproc": resource.RLIMIT_NPROC}
        bounds = {name: resource.getrlimit(limit)[1] for name, limit in hard.items()}
        # Not everybody may raise a limit, which podman does without being told another one.
        self._limits = [
            f"{name}={bound}:{bound}"
            for name, bound in bounds.items()
            if bound != resource.RLIM_INFINITY
        ]
        # runc also runs where both versions of control groups are mounted; crun does not.
        runtime = 'runtime = "runc"' if shutil.which("runc") else ""
        ulimits = f"default_ulimits = {json.dumps(self._limits)}"
        self._write("containers.conf", f"[engine]\n{runtime}\n[containers]\n{ulimits}\n")
        places = f'graphroot = "{folder}/images"\nrunroot = "{folder}/run"'
        self._write("storage.conf", f'[storage]\ndriver = "overlay"\n{places}\n')

    def _write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text, encoding="utf-8")

    @property
    def environment(self) -> dict[str, str]:
        """The environment in which podman uses the folder."""
        return {
            **os.environ,
            "CONTAINERS_CONF": str(self.folder / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(self.folder / "storage.conf"),
            "PODMAN_IGNORE_CGROUPSV1_WARNING": "1",
        }

    def run(
        self, *command: str | Path, timeout: float = 120.0, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run podman or buildah; with `check` an error has what it printed."""
        done = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=timeout
        )
        assert not check or done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
        return done

    def make_base(self) -> None:
        """The image that stands for `debian:trixie-slim`, which has no documents either."""
        name = self.run("buildah", "from", "scratch").stdout.strip()
        self.run("buildah", "add", "--quiet", name, bare_archive(), "/")
        run = ("buildah", "run", "--isolation", "chroot", name, "sh", "-c", _WITHOUT_DOCUMENTS)
        self.run(*run)
        self.run("buildah", "commit", "--quiet", "--rm", name, BASE)

    def build(self, tag: str, context: Path, *options: str, file: Path = CONTAINERFILE) -> None:
        """Build an image; steps run in a chroot with the network of the machine."""
        self.run(
            "buildah",
            "build",
            *("--isolation", "chroot", "--network", "host", "--format", "docker"),
            *(word for limit in self._limits for word in ("--ulimit", limit)),
            *self._authority(),
            *options,
            *("--tag", tag, "--file", file, context),
            timeout=_BUILD_TIMEOUT,
        )

    def _authority(self) -> list[str]:
        """pip trusts in a build what it trusts on this machine."""
        certificate = os.environ.get("PIP_CERT")
        if not certificate:
            return []
        self._write("pip.conf", "[global]\ncert = /opt/authority.pem\n")
        configuration = self.folder / "pip.conf"
        return [
            f"--volume={certificate}:/opt/authority.pem:ro",
            f"--volume={configuration}:/etc/pip.conf:ro",
        ]

    def remove(self) -> None:
        """End all containers, and remove everything."""
        self.run("podman", "rm", "--all", "--force", "--time", "0", check=False)
        self.run("podman", "rmi", "--all", "--force", check=False)
        shutil.rmtree(self.folder, ignore_errors=True)
