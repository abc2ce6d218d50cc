"""Where figures go: JSON, for who compares."""

import json
from pathlib import Path


def report_write(path: Path, figures: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(figures, indent=1) + "\n")
