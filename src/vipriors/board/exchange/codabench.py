"""Bundles of Codabench (`competition.yaml`, version 2) and of CodaLab before it (1.5).

Pages, phases with their dates and quotas, and the columns of the leaderboard come over. Programs are code and
do not: predictions are scored by one of our tasks.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from vipriors.board.exchange.bundle import Bundle, Plan, mappings, moment, number, plain, read_yaml
from vipriors.problems import BadInput

FILES = ("competition.yaml", "competition.yml")

_CODE = "programs are code, which is not taken over"
_DATA = "files of data are not taken over; the labels are given by themselves"
_LEFT = {
    "image": "the board shows no logo",
    "registration_auto_approve": "everybody with an account may enter",
    "has_registration": "everybody with an account may enter",
    "docker_image": _CODE,
    "competition_docker_image": _CODE,
    "make_programs_available": _CODE,
    "make_input_data_available": _DATA,
    "queue": "this board's own workers score",
    "enable_detailed_results": "details are shown as the task gives them",
    "show_detailed_results_in_submission_panel": "details are shown as the task gives them",
    "show_detailed_results_in_leaderboard": "details are shown to their team alone",
    "contact_email": "there is no page for it",
    "reward": "there is no page for it",
    "auto_run_submissions": "every submission is scored",
    "can_participants_make_submissions_public": "submissions are their team's alone",
    "forum_enabled": "there is no forum",
    "tasks": _CODE,
    "solutions": "they are not taken over",
    "fact_sheet": "entries are declared as this board asks",
}
_OF_PHASE = {
    "auto_migrate_to_this_phase": "teams send their file again",
    "auto_migration": "teams send their file again",
    "execution_time_limit": "the board has one limit for all",
    "hide_output": "output of programs is never shown",
    "hide_prediction_output": "output of programs is never shown",
    "hide_score_output": "output of programs is never shown",
    "starting_kit": _DATA,
    "public_data": _DATA,
    "input_data": _DATA,
    "reference_data": _DATA,
    "scoring_program": _CODE,
    "ingestion_program": _CODE,
    "tasks": _CODE,
    "accepts_only_result_submissions": "only results are taken here",
    "description": "phases have no text of their own",
}
_OF_BOARD = {"submission_rule": "the best or chosen entry stands"}
_OF_COLUMN = (
    *("title", "key", "index", "sorting", "computation", "computation_indexes", "precision", "hidden"),
    *("leaderboard", "label", "rank", "sort", "numeric_format"),
)


def read_codabench(bundle: Bundle, name: str) -> Plan:
    """What a bundle says.

    Raises:
        BadInput: lists everything that is wrong.
    """
    content = read_yaml(bundle, name)
    modern = str(content.get("version", "1")).split(".")[0] == "2"
    plan = Plan("Codabench 2" if modern else "CodaLab 1.5", title=str(content.get("title") or "").strip())
    place = f"{bundle.place}, {name}"
    if modern:
        _read_pages(plan, bundle, content, place)
        _read_phases(plan, content, place)
        _read_leaderboards(plan, content, place)
        used = ("version", "title", "description", "terms", "pages", "phases", "leaderboards")
    else:
        _read_old_pages(plan, bundle, content)
        _read_old_phases(plan, content, place)
        _read_old_leaderboard(plan, content)
        used = ("version", "title", "description", "html", "phases", "leaderboard", "end_date")
    plan.leave(content, "", _LEFT)
    plan.leave_unknown(content, "", {*used, *_LEFT})
    if plan.problems:
        raise BadInput(plan.problems)
    return plan


def _read_pages(plan: Plan, bundle: Bundle, content: dict[str, Any], place: str) -> None:
    plan.add_page("description", "", str(content.get("description") or ""))
    for page in mappings(content.get("pages"), f"{place}, pages", plan.problems):
        title = str(page.get("title") or page.get("file") or "Page")
        plan.take_text(bundle, page.get("file"), _page_for(title), title)
    plan.take_text(bundle, content.get("terms"), "rules", "Terms")


def _page_for(title: str) -> str:
    words = title.lower()
    if any(word in words for word in ("terms", "rule", "condition")):
        return "rules"
    return "data" if any(word in words for word in ("data", "download")) else "description"


def _read_phases(plan: Plan, content: dict[str, Any], place: str) -> None:
    phases = mappings(content.get("phases"), f"{place}, phases", plan.problems)
    phases.sort(key=lambda phase: phase["index"] if isinstance(phase.get("index"), int) else 0)
    read = []
    for position, phase in enumerate(phases):
        at = f"{place}, phases[{position}]"
        start = moment(phase.get("start"), f"{at}, start", plan.problems)
        end = moment(phase.get("end"), f"{at}, end", plan.problems)
        read.append((phase, at, start, end))
    for position, (phase, at, start, end) in enumerate(read):
        if end is None and position + 1 < len(read):
            end = read[position + 1][2]  # phases follow each other there
        fields = {
            "name": str(phase.get("name") or f"Phase {position + 1}")[:60],
            "start": start,
            "end": end,
            "total": number(phase.get("max_submissions"), f"{at}, max_submissions", plan.problems),
            "per_day": number(
                phase.get("max_submissions_per_day"), f"{at}, max_submissions_per_day", plan.problems
            ),
        }
        plan.add_phase(at, fields)
        plan.leave(phase, f"phase {fields['name']}, ", _OF_PHASE)
        used = ("index", "name", "start", "end", "max_submissions", "max_submissions_per_day")
        plan.leave_unknown(phase, f"phase {fields['name']}, ", {*used, *_OF_PHASE})


def _read_leaderboards(plan: Plan, content: dict[str, Any], place: str) -> None:
    boards = mappings(content.get("leaderboards"), f"{place}, leaderboards", plan.problems)
    for position, board in enumerate(boards):
        at = f"{place}, leaderboards[{position}]"
        if position:
            plan.left.append(f"leaderboards[{position}]: a challenge has one; its columns are noted")
        plan.leave(board, f"leaderboards[{position}], ", _OF_BOARD)
        if board.get("hidden") and not position:
            plan.phases = [phase.model_copy(update={"shows": "hidden"}) for phase in plan.phases]
        for column in mappings(board.get("columns"), f"{at}, columns", plan.problems):
            plan.columns.append(plain(column, _OF_COLUMN))


def _read_old_pages(plan: Plan, bundle: Bundle, content: dict[str, Any]) -> None:
    plan.add_page("description", "", str(content.get("description") or ""))
    pages = content.get("html") if isinstance(content.get("html"), dict) else {}
    for key, file in (pages or {}).items():
        page = {"terms": "rules", "data": "data"}.get(str(key), "description")
        plan.take_text(bundle, file, page, str(key).replace("_", " ").capitalize())


def _read_old_phases(plan: Plan, content: dict[str, Any], place: str) -> None:
    given = content.get("phases")
    items = list(given.values()) if isinstance(given, dict) else given
    phases = mappings(items, f"{place}, phases", plan.problems)
    phases.sort(key=lambda phase: phase["phasenumber"] if isinstance(phase.get("phasenumber"), int) else 0)
    places = [f"{place}, phase {phase.get('phasenumber', '?')}" for phase in phases]
    starts = [
        moment(phase.get("start_date"), f"{at}, start_date", plan.problems)
        for phase, at in zip(phases, places, strict=True)
    ]
    last = moment(content.get("end_date"), f"{place}, end_date", plan.problems)
    ends = [*(start - timedelta(days=1) if start else None for start in starts[1:]), last]
    for phase, at, start, end in zip(phases, places, starts, ends, strict=False):
        fields = {
            "name": str(phase.get("label") or f"Phase {phase.get('phasenumber', '?')}")[:60],
            "start": start,
            "end": end,
            "total": number(phase.get("max_submissions", 100), f"{at}, max_submissions", plan.problems),
            "per_day": number(
                phase.get("max_submissions_per_day", 5), f"{at}, max_submissions_per_day", plan.problems
            ),
        }
        plan.add_phase(at, fields)
        plan.leave(phase, f"phase {fields['name']}, ", _OF_PHASE)
        used = ("phasenumber", "label", "start_date", "max_submissions", "max_submissions_per_day")
        plan.leave_unknown(phase, f"phase {fields['name']}, ", {*used, *_OF_PHASE})


def _read_old_leaderboard(plan: Plan, content: dict[str, Any]) -> None:
    given = content.get("leaderboard")
    columns = given.get("columns") if isinstance(given, dict) else None
    for key, column in (columns if isinstance(columns, dict) else {}).items():
        if isinstance(column, dict):
            plan.columns.append({"key": str(key), **plain(column, _OF_COLUMN)})
