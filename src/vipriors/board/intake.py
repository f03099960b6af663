"""What a person may wrap predictions in: nothing, or a zip with the one file that a task asks for."""

from __future__ import annotations

from vipriors.problems import BadInput
from vipriors.tasks.archive import Limits, open_archive
from vipriors.tasks.findings import Findings, shown

LIMITS = Limits(archive_bytes=2**33, entries=1000, entry_bytes=2**30, total_bytes=2**30)
ARCHIVES = ("segmentation", "generation")
"""Tasks whose predictions are an archive themselves: of label maps, and of arrays (`.npz`)."""
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")  # with entries, and without


def unwrap(data: bytes, task: str, name: str) -> tuple[bytes, str]:
    """The predictions file in an upload, and what problems should call it.

    A folder around it and the stray files of zip tools are passed over. Predictions that are an archive
    themselves stay as they are.

    Args:
        data: the upload, any bytes.
        task: name of the task.
        name: what the sender calls it.

    Raises:
        BadInput: it is an archive but not of exactly one file that can be read; lists all that is wrong.
    """
    if task in ARCHIVES or not data.startswith(_ZIP):
        return data, name
    findings = Findings(name)
    archive = open_archive(data, LIMITS, findings)
    if archive is not None and len(archive.files) != 1 and not findings:
        some = ", ".join(shown(path) for path in list(archive.files)[:3])
        found = f"{len(archive.files)} files: {some}{', …' if len(archive.files) > 3 else ''}"
        message = f"holds {found if archive.files else 'no file'}; expected exactly one, the predictions"
        findings.add("faults of the file", message)
    content = None
    if archive is not None and not findings:
        content = archive.read(path := next(iter(archive.files)), findings)
    if content is None:
        raise BadInput(findings.problems())
    return content, f"{name}, {path}"
