"""`data prepare`, `data verify` and `new`: images in."""

from __future__ import annotations

import argparse
from pathlib import Path

from vipriors.cli.output import Commands, add_command, add_subset, answer, print_problems, progress


def add_commands(commands: Commands) -> None:
    """Adds the commands of this module."""
    group = commands.add_parser("data", help="prepare and verify the images of a challenge")
    data = group.add_subparsers(title="commands", metavar="COMMAND", required=True)

    preparing = add_command(data, "prepare", prepare_, "cut a challenge's subset from a copy of its source")
    preparing.add_argument("challenge", help="its name, or the path of its YAML file")
    add_subset(preparing)
    preparing.add_argument("--out", type=Path, metavar="DIR", help="default: data/CHALLENGE-nN-sS")
    preparing.add_argument(
        "--mode",
        choices=("copy", "link", "pack"),
        default="copy",
        help="copy files, link them, or pack each split into one tar file",
    )
    preparing.add_argument(
        "--test-key",
        type=Path,
        metavar="FILE",
        help="an organizer's secret that decides the names of the test images; made if there is none",
    )

    verifying = add_command(data, "verify", verify_, "find missing, damaged and changed files")
    verifying.add_argument("folder", type=Path, help="a prepared folder")

    new = add_command(commands, "new", new_, "make a challenge of a folder of labelled images")
    new.add_argument("name", help="of the challenge: small letters, digits and hyphens")
    new.add_argument("--images", type=Path, required=True, help="a folder with a folder for each class")
    new.add_argument("--task", choices=("classification",), default="classification")
    new.add_argument(
        "--size", type=int, metavar="PX", help="input size (default: from the images, at most 96)"
    )
    new.add_argument(
        "--test", type=float, default=0.2, metavar="SHARE", help="held out as test (default: 0.2)"
    )
    new.add_argument("--no-flip", action="store_true", help="a mirrored image would have another label")
    new.add_argument("--out", type=Path, metavar="DIR", help="where it goes (default: NAME)")


def prepare_(arguments: argparse.Namespace) -> int:
    """`vipriors data prepare`"""
    from vipriors.challenges import find
    from vipriors.challenges.schema import read_challenge
    from vipriors.data.subset import read_test_key
    from vipriors.runs.prepared import default_folder, prepare_challenge

    challenge = read_challenge(find(arguments.challenge))
    rule = challenge.rule(arguments.images_per_class, arguments.subset_seed)
    out = arguments.out or default_folder(challenge, rule)
    key = read_test_key(arguments.test_key) if arguments.test_key else ""
    with progress(arguments) as tell:
        prepared = prepare_challenge(
            challenge, rule, out, arguments.source, mode=arguments.mode, test_key=key, progress=tell
        )
    counts = ", ".join(f"{count} {split}" for split, count in prepared.dataset.counts.items())
    return answer(
        arguments, {"folder": str(out), "counts": prepared.dataset.counts}, f"{out}: {counts} images"
    )


def verify_(arguments: argparse.Namespace) -> int:
    """`vipriors data verify`"""
    from vipriors.data.verify import verify

    if problems := verify(arguments.folder):
        return print_problems(arguments, problems)
    return answer(arguments, {"problems": []}, f"{arguments.folder}: every file is as its manifest says")


def new_(arguments: argparse.Namespace) -> int:
    """`vipriors new`"""
    from vipriors.runs.new import new_challenge

    out = arguments.out or Path(arguments.name)
    made = new_challenge(
        arguments.name,
        arguments.images,
        out,
        size=arguments.size,
        test_share=arguments.test,
        flip=not arguments.no_flip,
    )
    height, width = made.challenge.input.size
    text = (
        f"{made.file}: {len(made.classes)} classes, {made.images} images, input {height}x{width}\n"
        f"next: vipriors run {made.file} baseline --rehearse --floors"
    )
    value = {"file": str(made.file), "classes": list(made.classes), "images": made.images}
    return answer(arguments, value, text)
