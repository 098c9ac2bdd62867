"""Lets netwatch find what another system has, where this folder is on the path of Python.

The variable NETWATCH_SIMULATION of the environment names a JSON file: the system (the value of
``sys.platform``), the modules that it lacks, and for other modules the names that it lacks. Only
what the modules of netwatch import is reduced, in spawned processes too; other libraries see the
system as it is. For Windows, calls of `os` also fail as they do there: descriptors of folders,
files that are opened as text, files that are renamed or deleted while this process has them open.
"""

import builtins
import errno
import json
import os
import types
from pathlib import Path

O_BINARY, O_NOINHERIT = 1 << 28, 1 << 29
_import = builtins.__import__


class Reduced(types.ModuleType):
    """A module without some of its names, and with others."""

    def __init__(self, real, lacking=(), others=()):
        super().__init__(real.__name__)
        self.__dict__.update(_real=real, _lacking=frozenset(lacking), **dict(others))

    def __getattr__(self, name):
        if name in self._lacking:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r} there")
        return getattr(self._real, name)

    def __setattr__(self, name, value):
        setattr(self._real, name, value)


def windows_calls():
    """What `os` does differently on Windows."""

    def without_descriptor(call):
        def called(path, *arguments, **options):
            for name in ("dir_fd", "src_dir_fd", "dst_dir_fd"):
                if options.pop(name, None) is not None:
                    raise NotImplementedError(f"{name} is unavailable on this platform")
            return call(path, *arguments, **options)

        return called

    def no_descriptor_at_all(call):
        def called(path=".", *arguments, **options):
            if isinstance(path, int):
                raise TypeError("path should be string, bytes or os.PathLike, not int")
            return without_descriptor(call)(path, *arguments, **options)

        return called

    def opened(path, flags, *arguments, **options):
        if Path(path).is_dir():
            raise PermissionError(errno.EACCES, "Permission denied", path)
        if not flags & O_BINARY and path != os.devnull:
            raise AssertionError(f"{path} is opened as text")
        flags &= ~(O_BINARY | O_NOINHERIT)
        return without_descriptor(os.open)(path, flags, *arguments, **options)

    def renamed(old, new, **options):
        if Path(new).exists():
            raise FileExistsError(errno.EEXIST, "File exists", new)
        return without_descriptor(os.rename)(old, new, **options)

    calls = {name: without_descriptor(getattr(os, name)) for name in ("replace", "stat", "unlink")}
    calls |= {name: no_descriptor_at_all(getattr(os, name)) for name in ("listdir", "utime")}
    return calls | {
        "open": opened,
        "rename": renamed,
        "name": "nt",
        "O_BINARY": O_BINARY,
        "O_NOINHERIT": O_NOINHERIT,
    }


def is_open(path):
    """Whether this process has a file open."""
    path = os.path.realpath(path)
    for each in Path("/proc/self/fd").iterdir():
        try:
            if str(each.readlink()) == path:
                return True
        except OSError:
            pass
    return False


def refuse_open_files():
    """Renaming and deleting a file fail while it is open."""

    def guarded(call):
        def called(*paths, **options):
            for path in paths:
                if isinstance(path, str | os.PathLike) and is_open(path):
                    raise PermissionError(errno.EACCES, "is used by another process", str(path))
            return call(*paths, **options)

        return called

    for name in ("replace", "rename", "unlink", "remove"):
        setattr(os, name, guarded(getattr(os, name)))


def refuse_files(*lists):
    """`select.select` on Windows takes sockets only."""
    import select
    import stat

    for each in lists[:3]:
        for file in each:
            number = file if isinstance(file, int) else file.fileno()
            if not stat.S_ISSOCK(os.fstat(number).st_mode):
                raise OSError(10038, "an operation was attempted on something that is no socket")
    return select.select(*lists)


def locks():
    """The module `msvcrt` as far as files are locked with it."""
    import fcntl

    def locking(descriptor, mode, size):
        try:
            fcntl.flock(
                descriptor, fcntl.LOCK_EX | (fcntl.LOCK_NB if mode == found.LK_NBLCK else 0)
            )
        except BlockingIOError:
            raise PermissionError(errno.EACCES, "Permission denied") from None

    found = types.ModuleType("msvcrt")
    found.__dict__.update(LK_LOCK=1, LK_NBLCK=2, locking=locking)
    return found


def start(simulated):
    """Begin the simulation."""
    system = simulated["system"]
    absent = frozenset(simulated["modules"])
    windows = system == "win32"
    if windows:
        refuse_open_files()
    others = {
        "sys": {"platform": system},
        "os": windows_calls() if windows else {},
        "select": {"select": refuse_files} if windows else {},
    }
    if system in ("win32", "darwin"):
        import multiprocessing

        multiprocessing.set_start_method("spawn")
    reduced = {}

    def imported(name, scope=None, locals=None, fromlist=(), level=0):
        caller = (scope or {}).get("__name__", "")
        if not caller.startswith("netwatch") or level:
            return _import(name, scope, locals, fromlist, level)
        if name in absent:
            raise ModuleNotFoundError(f"No module named {name!r} there", name=name)
        if windows and name == "msvcrt":
            return locks()  # not in `sys.modules`, where other libraries would see it
        module = _import(name, scope, locals, fromlist, level)
        found = module.__name__
        if found not in simulated["names"] and found not in others:
            return module
        if found not in reduced:
            lacking = simulated["names"].get(found, ())
            reduced[found] = Reduced(module, lacking, others.get(found, {}))
        return reduced[found]

    builtins.__import__ = imported


if "NETWATCH_SIMULATION" in os.environ:
    start(json.loads(Path(os.environ["NETWATCH_SIMULATION"]).read_text()))
