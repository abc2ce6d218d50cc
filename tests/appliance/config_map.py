"""A folder as kubelet mounts a ConfigMap."""

import os
import shutil
from pathlib import Path

NAME = "synproxy.yaml"


class Mount:
    """Kept as kubelet keeps it: synproxy.yaml -> ..data/synproxy.yaml and ..data -> ..VERSION.  A
    new version is written whole, ..data is turned to it by a rename, and the former is removed."""

    def __init__(self, folder: Path, text: str) -> None:
        folder.mkdir()
        self._folder = folder
        self._versions = 0
        self.put(text)
        self.path = folder / NAME
        self.path.symlink_to(f"..data/{NAME}")

    def put(self, text: str) -> None:
        data = self._folder / "..data"
        former = data.resolve() if data.exists() else None
        self._versions += 1
        version = self._folder / f"..2026_05_04_03_02_01.{self._versions}"
        version.mkdir()
        (version / NAME).write_text(text)
        (self._folder / "..data_tmp").symlink_to(version.name)
        os.replace(self._folder / "..data_tmp", data)
        if former:
            shutil.rmtree(former)
