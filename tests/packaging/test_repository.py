"""apt and dnf install from the repositories, and refuse what nobody signed.

The package managers are the real ones, with a folder of their own instead of the system's. The
packages are small: what is in ours, other tests show.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.packaging_modules import packaging_modules
from support.programs import needs
from support.signing_key import gpg, signing_key

(repository,) = packaging_modules("repository")

pytestmark = needs("apt-get", "createrepo_c", "dnf", "gpg", "reprepro", "rpmbuild", "rpmsign")


@pytest.fixture(scope="module")
def key() -> Iterator[str]:
    with signing_key() as made:
        yield made


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders ``1.0`` and ``1.1`` with a deb and an rpm."""
    folder = tmp_path_factory.mktemp("packages")
    for version in ("1.0", "1.1"):
        made = folder / version
        content = folder / f"content-{version}"
        (content / "DEBIAN").mkdir(parents=True)
        (content / "usr/share/tiny").mkdir(parents=True)
        (content / "usr/share/tiny/version").write_text(version)
        (content / "DEBIAN/control").write_text(
            f"Package: tiny\nVersion: {version}\nArchitecture: amd64\nSection: net\n"
            "Priority: optional\nMaintainer: A <a@example.org>\nDescription: Tiny\n"
        )
        made.mkdir()
        deb = made / f"tiny_{version}_amd64.deb"
        run("dpkg-deb", "--root-owner-group", "-Zzstd", "--build", str(content), str(deb))
        spec = folder / f"tiny-{version}.spec"
        spec.write_text(
            f"Name: tiny\nVersion: {version}\nRelease: 1\nSummary: Tiny\nLicense: MIT\n"
            "BuildArch: noarch\n%description\nTiny\n%install\n"
            f"mkdir -p %{{buildroot}}/usr/share/tiny\necho {version} "
            ">%{buildroot}/usr/share/tiny/version\n%files\n/usr/share/tiny/version\n"
        )
        run("rpmbuild", "--quiet", "--define", f"_topdir {folder / 'rpmbuild'}",
            "--define", f"_rpmdir {made}", "-bb", str(spec))  # fmt: skip
        (rpm,) = made.glob("noarch/*.rpm")
        rpm.rename(made / rpm.name)
    return folder


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, packages: Path, key: str) -> Path:
    """Repositories with both versions, the second of which was added later."""
    output = tmp_path_factory.mktemp("repository")
    for version in ("1.0", "1.1"):
        repository.make(packages / version, output, key, f"file://{output}")
    return output


@pytest.fixture
def copied(served: Path, tmp_path: Path) -> Path:
    """The repositories, to be changed."""
    return Path(shutil.copytree(served, tmp_path / "served"))


def run(*words: str, cwd: Path | None = None) -> str:
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class Apt:
    """apt with sources and lists of its own."""

    def __init__(self, folder: Path, served: Path) -> None:
        self.folder = folder
        for name in ("sources", "lists/partial", "cache/archives/partial", "etc"):
            (folder / name).mkdir(parents=True)
        (folder / "status").touch()
        text = (served / "netwatch.sources").read_text()
        (address,) = [line for line in text.splitlines() if line.startswith("URIs:")]
        text = text.replace(address, f"URIs: file://{served}/apt")
        keyring = served / "netwatch.asc"
        text = text.replace("/etc/apt/keyrings/netwatch.asc", str(keyring))
        (folder / "sources/netwatch.sources").write_text(text)

    def __call__(self, *words: str) -> subprocess.CompletedProcess[str]:
        settings = {
            "Dir::Etc::sourcelist": "/dev/null",
            "Dir::Etc::sourceparts": self.folder / "sources",
            "Dir::Etc::preferencesparts": self.folder / "etc",
            "Dir::State::lists": self.folder / "lists",
            "Dir::State::status": self.folder / "status",
            "Dir::Cache": self.folder / "cache",
            "APT::Architecture": "amd64",
            "APT::Architectures": "amd64",
            "APT::Sandbox::User": "",
        }
        options = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
        return subprocess.run(
            ["apt-get", "-q", *options, *words], cwd=self.folder, capture_output=True, text=True
        )


def test_apt_downloads_the_last_version(served: Path, tmp_path: Path) -> None:
    apt = Apt(tmp_path, served)
    done = apt("update")
    assert done.returncode == 0, done.stderr
    assert "W:" not in done.stderr
    # Nothing is served that only reprepro reads.
    assert {path.name for path in served.iterdir()} == {
        "apt", "dnf", "netwatch.asc", "netwatch.repo", "netwatch.sources"
    }  # fmt: skip
    done = apt("download", "tiny")
    assert done.returncode == 0, done.stderr
    run("dpkg-deb", "-x", str(tmp_path / "tiny_1.1_amd64.deb"), str(tmp_path / "content"))
    assert (tmp_path / "content/usr/share/tiny/version").read_text() == "1.1"


@pytest.mark.parametrize("file", ["InRelease", "main/binary-amd64/Packages.gz"])
def test_apt_refuses_what_was_changed(copied: Path, tmp_path: Path, file: str) -> None:
    path = copied / "apt/dists/stable" / file
    data = bytearray(path.read_bytes())
    if file == "InRelease":
        data = data.replace(b"Label: netwatch", b"Label: netwitch")
    else:
        data[-1] ^= 1
        path.with_suffix("").unlink(missing_ok=True)
    path.write_bytes(data)
    (copied / "apt/dists/stable/Release.gpg").unlink(missing_ok=True)
    done = Apt(tmp_path / "apt", copied)("update")
    assert done.returncode != 0 or "W:" in done.stderr
    assert Apt(tmp_path / "again", copied)("download", "tiny").returncode != 0


def test_apt_refuses_another_key(copied: Path, tmp_path: Path) -> None:
    gpg("--passphrase", "", "--quick-generate-key", "stranger@example.org", "rsa3072", "sign")
    (copied / "netwatch.asc").write_text(gpg("--armor", "--export", "stranger@example.org"))
    done = Apt(tmp_path / "apt", copied)("update")
    assert done.returncode != 0
    assert "not signed" in done.stderr or "NO_PUBKEY" in done.stderr or "signature" in done.stderr


def dnf(folder: Path, served: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """dnf with a system and a cache of its own."""
    sources = folder / "repos"
    sources.mkdir(parents=True, exist_ok=True)
    text = (served / "netwatch.repo").read_text()
    (address,) = [line for line in text.splitlines() if line.startswith("baseurl=")]
    text = text.replace(address.removesuffix("/dnf").partition("=")[2], f"file://{served}")
    (sources / "netwatch.repo").write_text(text)
    (folder / "dnf.conf").touch()
    for name in ("cache", "log", "state", "system"):
        (folder / name).mkdir(exist_ok=True)
    options = {
        "installroot": folder / "system",
        "setopt=reposdir": sources,
        "setopt=cachedir": folder / "cache",
        "setopt=logdir": folder / "log",
        "setopt=persistdir": folder / "state",
        "releasever": "1",
    }
    words = (*(f"--{name}={value}" for name, value in options.items()), *words)
    return subprocess.run(
        ["dnf", "-y", "-c", folder / "dnf.conf", *words],
        cwd=folder, capture_output=True, text=True, env={**os.environ, "HOME": str(folder)},
    )  # fmt: skip


def test_dnf_installs_upgrades_and_removes(served: Path, tmp_path: Path) -> None:
    version = tmp_path / "system/usr/share/tiny/version"
    for words, expected in (
        (("install", "tiny-1.0"), "1.0\n"),
        (("upgrade", "tiny"), "1.1\n"),
    ):
        done = dnf(tmp_path, served, *words)
        assert done.returncode == 0, done.stdout + done.stderr
        assert version.read_text() == expected
    done = dnf(tmp_path, served, "remove", "tiny")
    assert done.returncode == 0, done.stdout + done.stderr
    assert not version.exists()


def test_dnf_refuses_what_was_changed(copied: Path, tmp_path: Path, packages: Path) -> None:
    (listed,) = (copied / "dnf").glob("tiny-1.1*.rpm")
    shutil.copy(packages / "1.1" / listed.name, listed)  # which nobody signed
    done = dnf(tmp_path / "rpm", copied, "install", "tiny-1.1")
    assert done.returncode != 0
    assert "checksum" in done.stderr
    index = copied / "dnf/repodata/repomd.xml"
    index.write_text(index.read_text().replace("<revision>", "<revision>1"))
    done = dnf(tmp_path / "index", copied, "install", "tiny-1.0")
    assert done.returncode != 0
    assert "GPG signature" in done.stderr, done.stderr
    assert not (tmp_path / "index/system/usr/share/tiny/version").exists()


def test_nothing_to_publish_is_an_error(tmp_path: Path, key: str) -> None:
    with pytest.raises(repository.RepositoryError, match="has no deb and rpm; `make packages`"):
        repository.make(tmp_path, tmp_path / "out", key, "file:///x")
