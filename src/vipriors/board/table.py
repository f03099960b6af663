"""A leaderboard as CSV, with its scores."""

from __future__ import annotations

import csv
import io

from vipriors.board.standings import Leaderboard

COLUMNS = (
    *("rank", "team", "score", "low", "high", "received", "late", "qualified"),
    *("kind", "data", "parameters", "cost", "gpu_hours", "flops"),
)


def csv_of(leaderboard: Leaderboard) -> str:
    """The lines of a leaderboard, the first one first; empty cells where there is nothing to say."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for line in leaderboard.lines:
        entry, said = line.place.entry, line.declaration
        writer.writerow(
            [
                line.place.rank,
                _harmless(line.team),
                entry.value,
                entry.low,
                entry.high,
                entry.received.isoformat(),
                "yes" if line.late else "no",
                "yes" if line.qualified else "no",
                said.get("kind", "single"),
                _harmless(said.get("data", "")),
                said.get("parameters"),
                _harmless(said.get("cost", "")),
                said.get("gpu_hours"),
                said.get("flops"),
            ]
        )
    return stream.getvalue()


def _harmless(text: str) -> str:
    """What people typed, so that a spreadsheet takes it for text and never for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
