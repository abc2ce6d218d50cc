"""Who may use a Unix socket of the daemon's, and what somebody else can do about it."""

import grp
import os
import pwd
import stat
from pathlib import Path


def socket_denial(path: str) -> str | None:
    """Why this user may not use the socket, with a remedy; None where nothing forbids it."""
    for folder in reversed(Path(path).absolute().parents):
        if folder.is_dir() and not os.access(folder, os.X_OK):
            return (f"no right to enter {folder}, where {Path(path).name} is; be root, or have the"
                    f" folder opened to you (`chmod o+x {folder}`)")
    if not os.path.exists(path) or os.access(path, os.W_OK):
        return None
    status = os.stat(path)
    if status.st_mode & stat.S_IWGRP:
        group = _group_name(status.st_gid)
        return (f"no right to use {path}: it is for the group {group}, whose role its listener has"
                f" (management.listeners); join it with `usermod -aG {group} NAME` and log in"
                " again, or be root")
    owner = _owner_name(status.st_uid)
    return (f"no right to use {path}: it is for {owner} alone, as the admins' socket is"
            f" (management.address); be {owner}, or name the socket of a group of yours with"
            " --address (management.listeners)")


def _group_name(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def _owner_name(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
