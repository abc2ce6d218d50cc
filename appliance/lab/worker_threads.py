"""The threads of a daemon's workers."""

from pathlib import Path

# As EAL begins their names: until DPDK 23.07, and since.
NAMES = ("rte-worker", "dpdk-worker")


def worker_threads(process_id: int) -> list[int]:
    """Their numbers: proc(5), /proc/PID/task."""
    return [int(task.name) for task in Path(f"/proc/{process_id}/task").iterdir()
            if (task / "comm").read_text().startswith(NAMES)]
