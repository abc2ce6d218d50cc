#!/usr/bin/env bash
# Builds docker/Dockerfile, or another FILE, as it stands, as root.
#
#     docker/image.sh ENGINE IMAGE BASE [FILE CONTEXT]    ENGINE is podman or docker
#
# A base that no registry gives is made out of Debian's mirror.
set -euo pipefail
cd "$(dirname "$0")/.."

engine=$1
image=$2
base=$3
file=${4:-docker/Dockerfile}
context=${5:-.}
if [ "$engine" = podman ]; then
    # A build takes no namespaces of its own; HEALTHCHECK has a place in Docker's format alone.
    options=(--isolation=chroot --format docker --pull=never)
else
    # The host's network, too.  Secrets want BuildKit, which Docker before 23 is to be asked for.
    options=(--network host)
    export DOCKER_BUILDKIT=1
fi

if ! "$engine" image inspect "$base" >/dev/null 2>&1 && ! "$engine" pull --quiet "$base"; then
    docker/base_image.sh "$engine" "$base"
fi
# What the host's own authorities sign is trusted while it is built.
authorities=/etc/ssl/certs/ca-certificates.crt
if [ -e "$authorities" ]; then
    options+=(--secret "id=ca,src=$authorities")
fi
exec "$engine" build "${options[@]}" \
    --build-arg BASE="$base" --file "$file" --tag "$image" "$context"
