"""What is in the packages and where: the private environment, the command, the service with its
user and its files, manual pages, completions and documentation.
"""

import gzip
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from linux.environment import PREFIX, Interpreter, run
from linux.libraries import Libraries
from linux.licences import copyright_text
from linux.nfpm import CHANGES, Entry, Package
from wheels import ROOT

HERE = Path(__file__).resolve().parent
UNITS = HERE.parent

COMMAND = "/usr/bin/netwatch"
UNPACKAGED_COMMAND = "/opt/netwatch/bin/netwatch"
"""The command in the units of the repository, for those who install a wheel."""

CONSOLE_UNITS = ("netwatch-console", "netwatch-centre")
"""The services of the package ``netwatch-console``."""

_FOLDERS_OF_OTHERS = {
    *("/", "/etc", "/etc/default", "/etc/logrotate.d", "/usr", "/usr/bin", "/usr/lib"),
    *("/usr/lib/systemd", "/usr/lib/systemd/system", "/usr/lib/sysusers.d", "/usr/lib/tmpfiles.d"),
    *("/usr/share", "/usr/share/doc", "/usr/share/man", "/usr/share/man/man1"),
    "/usr/share/man/man5",
}
"""Folders that belong to the system, whoever has files in them."""

# Root may write into /usr, and not all modules have bytecode: -B.
_LAUNCHER = f"""#!{PREFIX}/bin/python3 -IB
import sys

from netwatch.cli import main

# A process that multiprocessing spawns imports this file, too.
if __name__ == "__main__":
    sys.exit(main())
"""

_DESCRIPTION = """\
Reads captures, interfaces and logs, and reports who contacted a banned app,
when, by what evidence, and what nobody could see. It captures nothing until
the administrator has named an interface and has enabled netwatch.service."""

_CONSOLE_DESCRIPTION = """\
What netwatch needs for its store, its web console, its reports as PDF, a fleet
of sensors and PostgreSQL, and the services netwatch-console and
netwatch-centre, of which the administrator enables what is wanted."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Where files are written that are not in the repository as they are packaged; their time is
    `epoch`, in seconds since 1970."""

    folder: Path
    interpreter: Interpreter
    epoch: int

    def write(self, name: str, content: str | bytes, mode: int = 0o644) -> str:
        """Write a file; its path."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        path.chmod(mode)
        self.date(path)
        return str(path)

    def date(self, path: Path) -> None:
        """Give a file or a tree the time of the build."""
        for each in (path, *path.rglob("*")):
            os.utime(each, (self.epoch, self.epoch), follow_symlinks=False)

    def compress(self, name: str, source: Path) -> str:
        """Write a file compressed; its path."""
        return self.write(name, gzip.compress(source.read_bytes(), 9, mtime=0))


def netwatch_contents(stage: Stage, base: Path, version: str, libraries: Libraries) -> Package:
    """The package ``netwatch``, whose environment is in the folder `base`."""
    python = stage.interpreter
    entries = [
        *_environment(stage, base),
        *_service(stage, base),
        *_manual(stage),
        *_documentation(stage, "netwatch", base),
    ]
    entries += [
        Entry(f"/usr/share/doc/netwatch/{path.relative_to(ROOT).as_posix()}", str(path), mode=0o644)
        for path in sorted(
            [*(ROOT / "docs").rglob("*.md"), *(ROOT / "docs").rglob("samples/*.txt")]
        )
    ]
    entries.append(Entry(CHANGES, str(ROOT / "CHANGELOG.md"), mode=0o644))
    users = (HERE / "sysusers.conf").read_text(encoding="utf-8").strip()
    before = (HERE / "rpm" / "pre").read_text(encoding="utf-8").replace("@SYSUSERS@", users)
    return Package(
        name="netwatch",
        version=version,
        machine=python.machine,
        summary="Tells from traffic and logs whether a ban on an app was kept",
        description=_DESCRIPTION,
        entries=[*entries, *_folders(entries)],
        depends={
            "deb": [
                python.name,
                *libraries.debian(),
                "passwd",
                "systemd-standalone-sysusers | systemd-sysusers",
                "systemd-standalone-tmpfiles | systemd-tmpfiles",
            ],
            "rpm": [f"/usr/bin/{python.name}", *libraries.rpm(), "shadow-utils", "systemd"],
        },
        recommends={"deb": ["ca-certificates"], "rpm": ["ca-certificates"]},
        suggests={
            "deb": ["netwatch-console", "logrotate"],
            "rpm": ["netwatch-console", "logrotate"],
        },
        replaces=[f"netwatch-console (<< {version}-1)"],
        scripts={
            "deb": {
                "postinstall": str(HERE / "deb" / "postinst"),
                "preremove": str(HERE / "deb" / "prerm"),
                "postremove": str(HERE / "deb" / "postrm"),
            },
            "rpm": {
                "preinstall": stage.write("rpm/pre", before),
                "postinstall": str(HERE / "rpm" / "post"),
                "preremove": str(HERE / "rpm" / "preun"),
                "postremove": str(HERE / "rpm" / "postun"),
            },
        },
        epoch=stage.epoch,
    )


def console_contents(stage: Stage, rest: Path, version: str, libraries: Libraries) -> Package:
    """The package ``netwatch-console``: the folder `rest` in the environment of ``netwatch``."""
    stage.date(rest)
    python = stage.interpreter
    entries = [
        Entry(python.site_packages, str(rest), "tree"),
        *(_unit(stage, f"{name}.service") for name in CONSOLE_UNITS),
        *_documentation(stage, "netwatch-console", rest),
    ]
    return Package(
        name="netwatch-console",
        version=version,
        machine=python.machine,
        summary="Store, console and reports of netwatch",
        description=_CONSOLE_DESCRIPTION,
        entries=[*entries, *_folders(entries)],
        # Not this version exactly: an upgrade of netwatch alone would remove the console.
        depends={
            # WeasyPrint opens the libraries of Pango at run time.
            "deb": [
                f"netwatch (>= {version}-1)",
                *libraries.debian(),
                *("libpango-1.0-0", "libpangoft2-1.0-0", "libharfbuzz-subset0"),
            ],
            "rpm": [f"netwatch >= {version}-1", *libraries.rpm(), "pango"],
        },
        recommends={"deb": ["fonts-dejavu-core"], "rpm": ["dejavu-sans-fonts"]},
        suggests={"deb": [], "rpm": []},
        replaces=[f"netwatch (<< {version}-1)"],
        scripts={
            "deb": {
                "postinstall": str(HERE / "deb" / "console" / "postinst"),
                "preremove": str(HERE / "deb" / "console" / "prerm"),
                "postremove": str(HERE / "deb" / "console" / "postrm"),
            },
            "rpm": {
                "postinstall": str(HERE / "rpm" / "console" / "post"),
                "preremove": str(HERE / "rpm" / "console" / "preun"),
                "postremove": str(HERE / "rpm" / "console" / "postun"),
            },
        },
        epoch=stage.epoch,
    )


def packaged_unit(name: str) -> str:
    """A unit or drop-in of the repository with the command of the package, and without the
    instructions at its head for those who have none. Raises `ValueError` where it has another
    command."""
    head, _, text = (UNITS / name).read_text(encoding="utf-8").partition("\n\n")
    if not head.startswith("#") or text.count(UNPACKAGED_COMMAND) != 1:
        raise ValueError(f"{name} does not begin with a comment, or runs another command")
    return text.replace(UNPACKAGED_COMMAND, COMMAND)


def _folders(entries: Sequence[Entry]) -> list[Entry]:
    """The folders that rpm has to remove: it removes none that no package has. dpkg does."""
    given = {each.target for each in entries}
    parents = {
        str(folder)
        for each in entries
        if each.form in ("", "rpm")
        for folder in Path(each.target).parents
    }
    return [
        Entry(folder, "", "dir", 0o755, form="rpm")
        for folder in sorted(parents - given - _FOLDERS_OF_OTHERS)
    ]


def _environment(stage: Stage, base: Path) -> list[Entry]:
    python = stage.interpreter
    stage.date(base)
    settings = (
        "home = /usr/bin\n"
        "include-system-site-packages = false\n"
        f"version = {python.version[0]}.{python.version[1]}\n"
    )
    launcher = stage.write("launcher", _LAUNCHER, 0o755)
    return [
        Entry(f"{PREFIX}/pyvenv.cfg", stage.write("pyvenv.cfg", settings), mode=0o644),
        Entry(f"{PREFIX}/bin/python3", f"../../../bin/{python.name}", "symlink"),
        Entry(f"{PREFIX}/bin/netwatch", launcher, mode=0o755),
        Entry(COMMAND, "../lib/netwatch/bin/netwatch", "symlink"),
        Entry(python.site_packages, str(base), "tree"),
    ]


def _service(stage: Stage, base: Path) -> list[Entry]:
    """The unit, its user and folders, and the files that administrators edit."""
    logs = stage.write("netwatch-logs.conf", packaged_unit("netwatch-logs.conf"))
    examples = "/usr/share/doc/netwatch/examples"
    keep = "config|noreplace"
    configuration = _first_configuration(stage, base)
    return [
        _unit(stage, "netwatch.service"),
        Entry(f"{examples}/netwatch-logs.conf", logs, mode=0o644),
        Entry("/usr/lib/sysusers.d/netwatch.conf", str(HERE / "sysusers.conf"), mode=0o644),
        Entry("/usr/lib/tmpfiles.d/netwatch.conf", str(HERE / "tmpfiles.conf"), mode=0o644),
        Entry("/etc/default/netwatch", str(HERE / "default"), keep, 0o644),
        Entry("/etc/logrotate.d/netwatch", str(HERE / "logrotate"), keep, 0o644),
        # rpm makes the user before it unpacks; with dpkg the group is set afterwards.
        Entry("/etc/netwatch", "", "dir", 0o750, form="deb"),
        Entry("/etc/netwatch/netwatch.yaml", configuration, keep, 0o640, form="deb"),
        Entry("/etc/netwatch", "", "dir", 0o750, "netwatch", "rpm"),
        Entry("/etc/netwatch/netwatch.yaml", configuration, keep, 0o640, "netwatch", "rpm"),
    ]


def _unit(stage: Stage, name: str) -> Entry:
    path = stage.write(name, packaged_unit(name))
    return Entry(f"/usr/lib/systemd/system/{name}", path, mode=0o644)


def _first_configuration(stage: Stage, base: Path) -> str:
    """What `netwatch init` writes where nothing is known of the network."""
    path = stage.folder / "netwatch.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    code = "import sys; from netwatch.cli import main; sys.exit(main())"
    words = ["init", "--yes", "--output", str(path)]
    # Without the module site: what a machine adds to every Python could change the environment.
    command = [stage.interpreter.command, "-S", "-P", "-c", code, *words]
    run(command, {**os.environ, "PYTHONPATH": str(base), "PYTHONDONTWRITEBYTECODE": "1"})
    # It names the schema for editors, in the installation that wrote it.
    here, there = base.resolve().as_uri(), Path(stage.interpreter.site_packages).as_uri()
    text = path.read_text("utf-8")
    assert here in text
    return stage.write("netwatch.yaml", text.replace(here, there))


def _manual(stage: Stage) -> list[Entry]:
    """Manual pages and completions, from the tables of the commands."""
    made = stage.folder / "manual"
    run([sys.executable, str(UNITS / "manual.py"), str(made)], os.environ)
    entries = [
        Entry(
            f"/usr/share/man/{page.parent.name}/{page.name}.gz",
            stage.compress(f"man/{page.name}.gz", page),
            mode=0o644,
        )
        for page in sorted(made.glob("man/man*/*"))
    ]
    zsh = {"deb": "vendor-completions", "rpm": "site-functions"}
    completions: Sequence[tuple[str, str, str]] = [
        ("bash/netwatch", "bash-completion/completions/netwatch", ""),
        ("fish/netwatch.fish", "fish/vendor_completions.d/netwatch.fish", ""),
        *(("zsh/_netwatch", f"zsh/{folder}/_netwatch", form) for form, folder in zsh.items()),
    ]
    return entries + [
        Entry(f"/usr/share/{target}", str(made / source), mode=0o644, form=form)
        for source, target, form in completions
    ]


def _documentation(stage: Stage, name: str, folder: Path) -> list[Entry]:
    """The licences of all that is in a package. That of netwatch is in its own distribution."""
    text = stage.write(f"copyright/{name}", copyright_text(folder))
    overrides = stage.write(f"overrides/{name}", (HERE / "lintian").read_bytes())
    return [
        Entry(f"/usr/share/doc/{name}/copyright", text, mode=0o644),
        Entry(f"/usr/share/lintian/overrides/{name}", overrides, mode=0o644, form="deb"),
    ]
