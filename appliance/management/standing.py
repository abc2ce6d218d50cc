"""How it stands with the configuration: what health and metrics say of it."""

from collections.abc import Sequence
from dataclasses import dataclass

from appliance.config_file import FileState
from appliance.management.catalogue import Catalogue


@dataclass(frozen=True)
class Standing:
    file_taken: bool        # the configuration file was, when it was last looked at
    file_taken_s: float     # when it was last taken, in seconds since 1970
    taken_total: int        # since start
    refused_total: int
    revision: int           # the newest, which runs
    waits: bool             # for its confirmation
    persistent: bool        # it survives a restart
    kept: bool              # so it does, or nobody has asked for it; and the last write went well
    late: Sequence[int]     # lcores of workers that don't run it in time

    @property
    def well(self) -> bool:
        return self.file_taken and self.kept and not self.late


def standing_of(catalogue: Catalogue, file: FileState) -> Standing:
    history = catalogue.history
    return Standing(
        file_taken=file.taken, file_taken_s=file.taken_s, taken_total=file.taken_total,
        refused_total=file.refused_total, revision=history.newest.revision.number,
        waits=history.waiting is not None, persistent=history.persistent, kept=history.kept,
        late=catalogue.late(),
    )
