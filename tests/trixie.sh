#!/usr/bin/env bash
# tests/trixie.sh ROOT COMMAND...: runs the command in a copy of this tree inside of ROOT, a Debian of
# another release.  What an earlier run has installed and built there is kept.
#
# `make test-trixie` starts it in a mount namespace of its own, which ends with its last process,
# however that ends: so nothing is left mounted, and who removes ROOT never meets /dev.
set -euo pipefail
cd "$(dirname "$0")/.."

root=$1
shift
name=synproxy-appliance
tree=$root/srv/$name

# This host's way to the mirrors of Debian, PyPI and npm: its proxy, its authorities, its indexes.
cp --dereference /etc/resolv.conf /etc/hosts "$root/etc/"
grep -lsr '^ *Acquire::' /etc/apt/apt.conf.d | xargs -r cp -t "$root/etc/apt/apt.conf.d"
if compgen -G '/usr/local/share/ca-certificates/*.crt' >/dev/null; then
    cp /usr/local/share/ca-certificates/*.crt "$root/usr/local/share/ca-certificates/"
    chroot "$root" update-ca-certificates >/dev/null
fi
if [[ -e /etc/pip.conf ]]; then cp /etc/pip.conf "$root/etc/"; fi
authorities=/etc/ssl/certs/ca-certificates.crt

# Where other users can read it, too; with their times, by which make and meson know what is built.
mkdir -p "$tree"
find "$tree" -mindepth 1 -maxdepth 1 ! -name build ! -name .venv -exec rm -rf {} +
git ls-files -z --cached --others --exclude-standard |
    tar --create --null --files-from=- | tar --extract --directory "$tree"

# What makes mount namespaces in there wants its root to be a mount.
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o mode=0755 run "$root/run"

exec chroot "$root" env -i --chdir="/srv/$name" \
    HOME=/root LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    TERM="${TERM-dumb}" PIP_CERT=$authorities NODE_EXTRA_CA_CERTS=$authorities \
    ${http_proxy+"http_proxy=$http_proxy"} ${https_proxy+"https_proxy=$https_proxy"} \
    "$@"
