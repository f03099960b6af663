"""Bundles of EvalAI (`challenge_config.yaml`).

Pages, phases with their dates and quotas, and the labels of the leaderboards come over. The evaluation script
is code and does not: predictions are scored by one of our tasks.
"""

from __future__ import annotations

from typing import Any

from vipriors.board.exchange.bundle import Bundle, Plan, mappings, moment, number, plain, read_yaml
from vipriors.problems import BadInput

FILES = ("challenge_config.yaml", "challenge_config.yml")
PUBLIC = 3

_PAGES = (
    ("description", "description", "Description"),
    ("evaluation_details", "description", "Evaluation"),
    ("submission_guidelines", "description", "Submission"),
    ("leaderboard_description", "description", "Leaderboard"),
    ("terms_and_conditions", "rules", "Terms"),
)
_LEFT = {
    "image": "the board shows no logo",
    "evaluation_script": "programs are code, which is not taken over",
    "remote_evaluation": "this board's own workers score",
    "tags": "challenges have no tags",
    "dataset_splits": "a test is split by the board itself, see --public-share",
}
_OF_PHASE = {
    "description": "phases have no text of their own",
    "is_active": "phases open and close by their dates",
    "max_concurrent_submissions_allowed": "submissions wait in a queue",
    "max_submissions_per_month": "quotas are per day and in all",
    "allowed_email_ids": "everybody with an account may enter",
    "disable_logs": "output of programs is never shown",
    "is_submission_public": "submissions are their team's alone",
    "test_annotation_file": "the labels are given by themselves",
    "default_submission_meta_attributes": "entries are declared as this board asks",
    "submission_meta_attributes": "entries are declared as this board asks",
    "is_restricted_to_select_one_submission": "the best or chosen entry stands",
    "is_partial_submission_evaluation_enabled": "files are scored whole",
    "allowed_submission_file_types": "the task says which files it takes",
}
_USED = ("id", "name", "codename", "challenge", "start_date", "end_date", "is_public", "leaderboard_public")
_QUOTAS = {"max_submissions": "total", "max_submissions_per_day": "per_day"}


def read_evalai(bundle: Bundle, name: str) -> Plan:
    """What a bundle says.

    Raises:
        BadInput: lists everything that is wrong.
    """
    content = read_yaml(bundle, name)
    plan = Plan("EvalAI", title=str(content.get("title") or "").strip())
    place = f"{bundle.place}, {name}"
    plan.hidden = content.get("published") is False
    plan.add_page("description", "", str(content.get("short_description") or ""))
    for key, page, heading in _PAGES:
        plan.take_text(bundle, content.get(key), page, heading)
    given = content.get("challenge_phase_splits")
    splits = mappings(given, f"{place}, challenge_phase_splits", plan.problems)
    shown = [split.get("challenge_phase_id") for split in splits if split.get("visibility") == PUBLIC]
    phases = mappings(content.get("challenge_phases"), f"{place}, challenge_phases", plan.problems)
    for position, phase in enumerate(phases):
        _read_phase(plan, phase, f"{place}, challenge_phases[{position}]", content, bool(splits), shown)
    _read_leaderboards(plan, content, place, splits)
    plan.leave(content, "", _LEFT)
    used = ("title", "short_description", "published", "start_date", "end_date", "leaderboard")
    known = {*used, *(key for key, _, _ in _PAGES), "challenge_phases", "challenge_phase_splits", *_LEFT}
    plan.leave_unknown(content, "", known)
    if plan.problems:
        raise BadInput(plan.problems)
    return plan


def _read_phase(
    plan: Plan, phase: dict[str, Any], at: str, content: dict[str, Any], has_splits: bool, shown: list[Any]
) -> None:
    start, end = (
        moment(phase.get(key) or content.get(key), f"{at}, {key}", plan.problems)
        for key in ("start_date", "end_date")
    )
    name = str(phase.get("name") or phase.get("codename") or f"Phase {phase.get('id', '?')}")[:60]
    visible = phase.get("leaderboard_public", True) and (not has_splits or phase.get("id") in shown)
    fields: dict[str, Any] = {"name": name, "start": start, "end": end}
    fields |= {"shows": "public" if visible else "hidden"}
    for key, ours in _QUOTAS.items():
        fields[ours] = number(phase.get(key), f"{at}, {key}", plan.problems)
    plan.add_phase(at, fields)
    if phase.get("is_public") is False:
        plan.left.append(f"phase {name}, is_public: a challenge is hidden whole or not at all")
    plan.leave(phase, f"phase {name}, ", _OF_PHASE)
    plan.leave_unknown(phase, f"phase {name}, ", {*_USED, *_QUOTAS, *_OF_PHASE})


def _read_leaderboards(plan: Plan, content: dict[str, Any], place: str, splits: list[dict[str, Any]]) -> None:
    boards = mappings(content.get("leaderboard"), f"{place}, leaderboard", plan.problems)
    for board in boards:
        schema = _mapping(board.get("schema"))
        labels, about = schema.get("labels"), _mapping(schema.get("metadata"))
        for label in map(str, labels if isinstance(labels, list) else []):
            column = {"title": label, "primary": label == schema.get("default_order_by")}
            plan.columns.append(column | plain(_mapping(about.get(label))))
    keys = ("leaderboard_decimal_precision", "show_execution_time", "show_leaderboard_by_latest_submission")
    for position, split in enumerate(splits):
        at = f"challenge_phase_splits[{position}], "
        plan.leave(split, at, dict.fromkeys(keys, "leaderboards look as this board makes them"))


def _mapping(value: Any) -> dict[Any, Any]:
    return value if isinstance(value, dict) else {}
