"""What the attachments of a submission say of it."""

from __future__ import annotations

from collections.abc import Iterable

from vipriors.board.models import Attachment


def audit_passed(attachments: Iterable[Attachment]) -> bool | None:
    """Whether the newest audit of a run passed; None if none was recorded."""
    audits = [each.audit for each in attachments if each.kind == "run" and each.audit]
    if not audits:
        return None
    return bool(max(audits, key=lambda audit: str(audit["at"]))["passed"])
