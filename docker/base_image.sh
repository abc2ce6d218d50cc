#!/usr/bin/env bash
# Makes the Dockerfile's base out of Debian's mirror, by debootstrap, where no registry is at hand.
#
#     docker/base_image.sh ENGINE IMAGE       IMAGE as .../debian:SUITE-slim
set -euo pipefail

engine=$1
image=$2
suite=${image##*:}
suite=${suite%-slim}
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT

# As the registry's slim image has it: without /usr/share/doc but its licences, and translations; and
# dpkg doesn't wait for the disk, since what breaks off is built again.
slim=etc/dpkg/dpkg.cfg.d/slim
mkdir -p "$root/${slim%/*}"
cat >"$root/$slim" <<END
path-exclude /usr/share/doc/*
path-include /usr/share/doc/*/copyright
path-exclude /usr/share/man/*
path-exclude /usr/share/info/*
path-exclude /usr/share/locale/*
force-unsafe-io
END

# What it mounts below the folder, and leaves there where it is interrupted, is gone with its
# namespace before the folder is removed.
unshare --mount --propagation private debootstrap --variant=minbase "$suite" "$root"
find "$root"/usr/share/doc -type f ! -name copyright -delete
rm -rf "$root"/usr/share/{man,info,locale}/* "$root"/var/cache/apt/*.bin \
    "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* "$root"/var/log/*.log
tar -C "$root" --create . | "$engine" import - "$image"
