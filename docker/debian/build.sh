#!/usr/bin/env bash
# `make deb`: the package for the release of Debian that this is, with Python's packages in an
# environment of its own, /opt/synproxy, and DPDK from Debian.
#
#     build.sh OUTPUT     in which a folder `root` is what the package holds
set -euo pipefail
cd "$(dirname "$0")/../.."

output=$(realpath "$1")
root=$output/root
prefix=/opt/synproxy
environment=$root$prefix
name=synproxy-appliance
python=/usr/bin/python3

rm -rf "$output"
mkdir -p "$output" "$root/DEBIAN"

# Its programs alone, by the interpreter that is there once the package is installed.
pip wheel -q --no-build-isolation --no-deps -Cbuild-dir=build/host --wheel-dir "$output" .
"$python" -m venv --without-pip "$environment"
pip -q --python "$environment/bin/python3" install --no-compile "$output"/*.whl
find "$environment/bin" -type f ! -name 'synproxy*' -delete
find "$environment/lib" -name direct_url.json -delete       # where the wheel was
sed -i "1s|^#!.*|#!$prefix/bin/python3|" "$environment"/bin/synproxy*
sed -i "s|$environment|$prefix|" "$environment/pyvenv.cfg"
"$python" -m compileall -q -s "$root" -p / "$environment/lib"

install -d "$root"/usr/bin "$root/usr/share/doc/$name"
ln -s "$prefix"/bin/synproxyd "$prefix"/bin/synproxy "$root/usr/bin/"
install -D -m 600 examples/synproxy.yaml "$root/etc/synproxy/synproxy.yaml"
install -d "$root/usr/lib/systemd/system"
sed 's|/usr/local/bin/|/usr/bin/|' docker/systemd/synproxyd.service \
    > "$root/usr/lib/systemd/system/synproxyd.service"
install -m 644 docker/debian/copyright "$root/usr/share/doc/$name/"
complete() {        # shell, file
    install -d "$(dirname "$root/usr/share/$2")"
    synproxy completion "$1" > "$root/usr/share/$2"
}
complete bash bash-completion/completions/synproxy
complete zsh zsh/vendor-completions/_synproxy
complete fish fish/vendor_completions.d/synproxy.fish

# DPDK's drivers are opened by name, so that no library says that it needs them.
drivers=$(python -P -c 'from appliance.host.pmds import dpdk_folder; print(dpdk_folder())')
packages_of() {     # globs of files in that folder
    (cd "$drivers" && dpkg-query --search $(realpath $1)) | sed 's/:.*//' | sort -u | paste -sd, | sed 's/,/, /g'
}
mkdir "$output/debian"
printf 'Source: %s\n\nPackage: %s\nArchitecture: any\n' "$name" "$name" > "$output/debian/control"
libraries=$(cd "$output" && find root -name '*.so*' -type f -path '*/cython_core/*' -print0 |
    xargs -0 dpkg-shlibdeps -O | sed -n 's/^shlibs:Depends=//p')
minor=$("$python" -c 'import sys; print(sys.version_info.minor)')
{
    echo "Package: $name"
    echo "Version: $(sed -n "s/^ *version: '\(.*\)',/\1/p" meson.build)"
    echo "Architecture: $(dpkg --print-architecture)"
    echo "Installed-Size: $(du -sk --exclude=DEBIAN "$root" | cut -f1)"
    # procps has the kill of the unit's reload.
    echo "Depends: $libraries, procps, python3 (>= 3.$minor), python3 (<< 3.$((minor + 1)))," \
        "$(packages_of 'librte_net_af_xdp.so.* librte_net_af_packet.so.* librte_mempool_ring.so.*')"
    echo "Recommends: $(packages_of 'librte_net_*.so.*')"
    cat docker/debian/control
} > "$root/DEBIAN/control"
echo /etc/synproxy/synproxy.yaml > "$root/DEBIAN/conffiles"
install -m 755 docker/debian/{postinst,prerm,postrm} "$root/DEBIAN/"
dpkg-deb --root-owner-group -Zzstd --build "$root" "$output"
