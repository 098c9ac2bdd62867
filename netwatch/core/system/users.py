"""Users, groups and owners of files, which Windows does not have in this sense.

There, what netwatch keeps is below the profile folder of the user, which other users cannot open.
So every file counts as one of this user, and nobody is root.
"""

import os
import stat
import sys
from pathlib import Path


def user_id() -> int:
    """The effective user of this process, 0 on Windows, as `os.stat` gives for every file there."""
    if sys.platform == "win32":
        return 0
    return os.geteuid()


def is_root() -> bool:
    """Whether this process may read and write whatever it likes."""
    return sys.platform != "win32" and os.geteuid() == 0


def is_owned(status: os.stat_result) -> bool:
    """Whether a file belongs to the user of this process."""
    return sys.platform == "win32" or status.st_uid == os.geteuid()


def is_root_or_own(status: os.stat_result) -> bool:
    """Whether a file belongs to root or to the user of this process."""
    return is_owned(status) or status.st_uid == 0


def others_may_write(status: os.stat_result) -> bool:
    """Whether users other than its owner may write to a file or folder."""
    return sys.platform != "win32" and bool(status.st_mode & (stat.S_IWGRP | stat.S_IWOTH))


def has_private_group(status: os.stat_result) -> bool:
    """Whether the group of a file is the one that many systems make for each user, where nobody
    else is a member. Those systems let it write to whatever its user makes (umask 002)."""
    if sys.platform == "win32":
        return True
    import grp
    import pwd

    try:
        owner, group = pwd.getpwuid(status.st_uid), grp.getgrgid(status.st_gid)
    except KeyError:
        return False
    is_own = group.gr_name == owner.pw_name and group.gr_gid == owner.pw_gid
    return is_own and set(group.gr_mem) <= {owner.pw_name}


def change_owner(new: int | Path, like: os.stat_result) -> None:
    """Give a file, by its descriptor or path, the owner and group of another. Raises `OSError`."""
    if sys.platform != "win32":
        os.chown(new, like.st_uid, like.st_gid)


def host_name() -> str:
    """The name of this machine."""
    if sys.platform != "win32":
        return os.uname().nodename
    import socket

    return socket.gethostname()


def owns_system_folder(folder: Path) -> bool:
    """Whether a folder outside of all homes, such as one below ``/var``, is there and belongs to
    the user of this process. Never on Windows, where everybody could have made it."""
    if sys.platform == "win32":
        return False
    try:
        return folder.stat().st_uid == os.geteuid()
    except OSError:
        return False


def user_ids() -> frozenset[int]:
    """The real, effective and saved user of this process, as far as the system says."""
    if sys.platform == "win32":
        return frozenset({0})
    if sys.platform == "darwin":
        return frozenset({os.getuid(), os.geteuid()})
    return frozenset(os.getresuid())


def group_ids() -> frozenset[int]:
    """The real, effective and saved group of this process, as far as the system says."""
    if sys.platform == "win32":
        return frozenset({0})
    if sys.platform == "darwin":
        return frozenset({os.getgid(), os.getegid()})
    return frozenset(os.getresgid())


def become(user: int, group: int, groups: list[int]) -> None:
    """As root, become another user for good: real, effective and saved. Raises `PermissionError`
    where this process may not."""
    if sys.platform == "win32":
        raise PermissionError
    os.setgroups(groups)
    if sys.platform == "darwin":
        # Of root, these change all three (setuid(2)).
        os.setgid(group)
        os.setuid(user)
    else:
        os.setresgid(group, group, group)
        os.setresuid(user, user, user)
