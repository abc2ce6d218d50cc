"""What the image takes of its build stage: the libraries that the appliance needs, and no others.

    python closure.py --environment /opt/synproxy --runtime /runtime-dpkg --into /closure

From each extension module of the environment, each of DRIVERS and what is OPENED, the walk goes
along DT_NEEDED.  A library of a package that the runtime stage has (its /var/lib/dpkg is
`--runtime`) stays there.  Each other one is copied below `--into`, with the links that lead to it
and its package's licence.  What the image then holds is written beside the environment's other
data, as CycloneDX 1.5.

Reading list: ld.so(8), dpkg-query(1), CycloneDX 1.5 (JSON), package-url's deb and pypi.  What is
known of vulnerabilities is by source package, which scanners find in `upstream`.
"""

import argparse
import json
import platform
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import distributions
from pathlib import Path
from urllib.parse import quote

from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile

from appliance.host.pmds import dpdk_folder

LIBRARIES = Path("/usr/lib") / str(sysconfig.get_config_var("MULTIARCH"))
DPKG = Path("/var/lib/dpkg")
SBOM = Path("share/synproxy-appliance/sbom.cdx.json")

# Of DPDK: interfaces of the kernel's and of other processes, then what clouds and racks have; the
# buses come with them.  Without mempool_ring there is no pool of buffers.
DRIVERS = (
    "net_af_packet", "net_af_xdp", "net_memif",
    "net_bnxt", "net_e1000", "net_ena", "net_gve", "net_i40e", "net_iavf", "net_ice", "net_igc",
    "net_ixgbe", "net_mlx5", "net_netvsc", "net_virtio", "net_vmxnet3",
    "mempool_ring",
)
# What libraries open by name: libxdp its programs for AF_XDP, libibverbs its part of net_mlx5, of
# which it reads first.
OPENED = ("bpf/xdp-dispatcher.o", "bpf/xsk_def_xdp_prog*.o", "libibverbs/libmlx5-*.so")
PROVIDER = Path("/etc/libibverbs.d/mlx5.driver")


# As Package has them.
DPKG_FIELDS = "${Package} ${Version} ${Architecture} ${source:Package} ${source:Version}\n"


@dataclass
class Package:
    """Of Debian's; `files` are those that were copied."""

    name: str
    version: str
    architecture: str
    source: str
    source_version: str
    files: list[Path] = field(default_factory=list)


class ClosureError(Exception):
    """A library that is needed and isn't here."""


def needed(library: Path) -> list[str]:
    """DT_NEEDED, as written."""
    with library.open("rb") as stream:
        dynamic = ELFFile(stream).get_section_by_name(".dynamic")
        if not isinstance(dynamic, DynamicSection):
            return []
        return [tag.needed for tag in dynamic.iter_tags("DT_NEEDED")]  # type: ignore[attr-defined]


def seeds(environment: Path) -> Iterator[Path]:
    yield from environment.rglob("*.so")
    plugins = dpdk_folder()
    if plugins is None:
        raise ClosureError("DPDK names no folder of drivers")
    for folder, patterns in (
            (plugins, [f"librte_{driver}.so.[0-9][0-9]" for driver in DRIVERS]),
            (LIBRARIES, OPENED)):
        for pattern in patterns:
            found = list(folder.glob(pattern))
            if not found:
                raise ClosureError(f"{folder} has no {pattern}")
            yield from found


def walk(environment: Path) -> set[Path]:
    """Every library outside the environment that a seed needs, or is; by the path that names it."""
    found: set[Path] = set()
    ahead = list(seeds(environment))
    while ahead:
        library = ahead.pop()
        if library in found:
            continue
        found.add(library)
        for name in needed(library):
            path = LIBRARIES / name
            if not path.exists():
                raise ClosureError(f"{library} needs {name}, which {LIBRARIES} hasn't")
            ahead.append(path)
    return {path for path in found if environment not in path.parents}


def links(path: Path) -> Iterator[Path]:
    """`path`, each link that it leads to, and the file at the end."""
    path = path.parent.resolve() / path.name
    yield path
    if path.is_symlink():
        yield from links(path.parent / path.readlink())


def owners(admin: Path) -> dict[Path, str]:
    """Which package a file is of: of all that dpkg has installed."""
    return {
        Path(line if line.startswith("/usr/") else f"/usr{line}"): listing.stem.partition(":")[0]
        for listing in (admin / "info").glob("*.list")
        for line in listing.read_text().splitlines()
    }


def installed(admin: Path) -> dict[str, Package]:
    """By name."""
    asked = subprocess.run(
        ["dpkg-query", f"--admindir={admin}", "--show", f"--showformat={DPKG_FIELDS}"],
        capture_output=True, text=True, check=True)
    packages: dict[str, Package] = {}
    for line in asked.stdout.splitlines():
        name, version, architecture, source, source_version = line.split()
        packages[name] = Package(name, version, architecture, source, source_version)
    return packages


def copy(path: Path, into: Path) -> None:
    target = into / path.relative_to("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(path, target, follow_symlinks=False)


def collect(environment: Path, runtime: Path, into: Path) -> list[Package]:
    """Copy the closure; returns the packages that it is of."""
    owner, here, there = owners(DPKG), installed(DPKG), installed(runtime)
    packages: dict[str, Package] = {}
    for library in sorted(walk(environment)):
        for path in links(library):
            name = owner[path]
            if name in there:
                continue
            package = packages.setdefault(name, here[name])
            if path not in package.files:
                package.files.append(path)
                copy(path, into)
    for name in packages:
        copy(Path("/usr/share/doc", name, "copyright").resolve(), into)
    copy(PROVIDER, into)
    return sorted(packages.values(), key=lambda package: package.name)


def purl(kind: str, name: str, version: str, **facts: str) -> str:
    """In its canonical form."""
    words = "&".join(f"{key}={quote(value, safe=':/')}" for key, value in sorted(facts.items()))
    return f"pkg:{kind}/{quote(name)}@{quote(version, safe=':')}{words and f'?{words}'}"


def of_debian(package: Package) -> dict[str, object]:
    release = platform.freedesktop_os_release()
    upstream = package.source
    if package.source_version != package.version:
        upstream += f"@{package.source_version}"
    own = {} if upstream == package.name else {"upstream": upstream}
    return component(package.name, package.version, purl(
        "deb/debian", package.name, package.version, arch=package.architecture,
        distro=f"{release['ID']}-{release['VERSION_ID']}", **own), *package.files)


def of_python(name: str, version: str) -> dict[str, object]:
    return component(name, version, purl("pypi", name.replace("_", "-").lower(), version))


def component(name: str, version: str, identity: str, *files: Path) -> dict[str, object]:
    return {
        "type": "library", "name": name, "version": version, "purl": identity,
        "properties": [{"name": "synproxy:file", "value": str(path)} for path in files],
    }


def sbom(packages: list[Package], runtime: Path, environment: Path) -> dict[str, object]:
    """All that the image holds: of the runtime stage, of the closure, of the environment."""
    site = next(environment.glob("lib/python3*/site-packages"))
    there = sorted(installed(runtime).values(), key=lambda package: package.name)
    return {
        "bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
        "components": [
            *map(of_debian, [*there, *packages]),
            *(of_python(one.metadata["Name"], one.version)
              for one in distributions(path=[str(site)])),
        ],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Collect the libraries of the image.")
    for name in ("environment", "runtime", "into"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    given = parser.parse_args()
    try:
        packages = collect(given.environment, given.runtime, given.into)
    except ClosureError as error:
        sys.exit(f"closure: {error}")
    for package in packages:
        names = dict.fromkeys(path.name for path in package.files)
        print(f"{package.name} {package.version}: {', '.join(names)}")
    copied = sum(path.lstat().st_size for path in given.into.rglob("*"))
    print(f"{len(packages)} packages, {copied / (1 << 20):.1f} MiB")
    target = given.environment / SBOM
    target.write_text(json.dumps(sbom(packages, given.runtime, given.environment), indent=1))


if __name__ == "__main__":
    main()
