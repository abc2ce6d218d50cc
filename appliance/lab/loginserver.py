"""OpenSSH's sshd in the server namespace, with keys, configuration and a user of its own.

sshd insists on a user `sshd` and on /run/sshd, and logs in only whom passwd(5) knows.  The host
has none of them and is to get none: ip-netns(8) gives each command a mount namespace, and there
this one mounts a passwd file and a /run of its own.
"""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from appliance.lab.listening import start_server
from appliance.lab.namespace import require, run_tool
from appliance.lab.topology import SERVER_IPV4, SERVER_IPV6, Lab

# Where `make setup` puts it, and from OpenSSH 10 on its parts beside it.
SSHD = Path(sys.executable).with_name("sshd")
PARTS = {option: SSHD.with_name(name) for option, name in (
    ("SshdSessionPath", "sshd-session"), ("SshdAuthPath", "sshd-auth"))}
PORT = 7062
USER = "guest"
NOBODY = 65534      # uid and gid that own nothing

PASSWD = """\
{user}:*:{nobody}:{nobody}::{home}:/bin/sh
sshd:*:{nobody}:{nobody}::/run/sshd:/usr/sbin/nologin
"""
CONFIGURATION = """\
Port {port}
HostKey {directory}/host
AuthorizedKeysFile {directory}/user.pub
AllowUsers {user}
PidFile none
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
StrictModes no
Subsystem sftp internal-sftp
"""
START = """\
mount -t tmpfs -o mode=755 none /run
mkdir /run/sshd
mount --bind {directory}/passwd /etc/passwd
exec {sshd} -D -e -f {directory}/sshd_config
"""


@dataclass(frozen=True)
class Login:
    """How a client gets in, and where its files are then."""

    options: tuple[str, ...]    # ssh's and scp's, all but the port
    home: Path


def start_loginserver(lab: Lab) -> Login:
    require(SSHD)
    directory = lab.directory / "sshd"
    home = directory / "home"
    home.mkdir(parents=True)
    os.chown(home, NOBODY, NOBODY)
    host_key = _make_key(directory / "host")
    _make_key(directory / "user")
    known = directory / "known_hosts"
    known.write_text("".join(
        f"[{address}]:{PORT} {host_key}\n" for address in (SERVER_IPV4, SERVER_IPV6)))
    (directory / "passwd").write_text(PASSWD.format(nobody=NOBODY, user=USER, home=home))
    (directory / "sshd_config").write_text(
        CONFIGURATION.format(port=PORT, directory=directory, user=USER) + "".join(
            f"{option} {part}\n" for option, part in PARTS.items() if part.exists()))
    start_server(lab, "sshd", ["sh", "-ec", START.format(directory=directory, sshd=SSHD)], PORT)
    return Login(("-F", "none", "-i", str(directory / "user"), "-o", f"UserKnownHostsFile={known}",
                  "-o", "StrictHostKeyChecking=yes", "-o", "BatchMode=yes"), home)


def _make_key(path: Path) -> str:
    """A key pair at `path`; returns its public half without the comment."""
    run_tool(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", str(path)])
    return path.with_suffix(".pub").read_text().removesuffix(" lab\n")
