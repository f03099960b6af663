"""What sources of video clips share."""

from __future__ import annotations

import os
from pathlib import Path

from vipriors.data.sources.base import Named


def labels_file(named: Named) -> tuple[str, bytes]:
    """`labels.txt` in the published form: a clip, a space, the number of its action from 1 on; by clip."""
    rows = sorted((id, sample.label + 1) for id, sample in named)
    return "labels.txt", "".join(f"{id} {number}\n" for id, number in rows).encode()


def file_sizes(folder: Path) -> dict[str, int]:
    """Bytes of each file of a folder by its name; none if there is no such folder."""
    if not folder.is_dir():
        return {}
    with os.scandir(folder) as entries:
        return {entry.name: entry.stat().st_size for entry in entries if entry.is_file()}
