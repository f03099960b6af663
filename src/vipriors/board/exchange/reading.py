"""Reads the archives that `archive` writes, which may be damaged or made by somebody else."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, cast

from vipriors.board.core import Board
from vipriors.board.database import VERSION
from vipriors.board.exchange.rows import read_rows
from vipriors.board.models import Attachment, Row, Submission
from vipriors.data.files import os_errors
from vipriors.problems import BadInput, Problem

MOST_ABOUT = 16 * 2**20
MOST_FILE = 2**34
MOST_PROBLEMS = 20

_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)


@contextmanager
def open_archive(file: Path, name: str, kind: str) -> Iterator[tuple[zipfile.ZipFile, dict[str, Any]]]:
    """An archive that says it is of the kind that is wanted, and what it says of itself."""
    with ExitStack() as stack, os_errors(file):
        try:
            archive = stack.enter_context(zipfile.ZipFile(file))
            info = archive.getinfo(name)
            if info.file_size > MOST_ABOUT:
                raise BadInput.single(file, f"{name} is larger than {MOST_ABOUT:,} bytes")
            about = json.loads(archive.read(info))
        except (*_ERRORS, KeyError, ValueError, RecursionError):
            expected = f"expected one that `vipriors board export` wrote, with {name}"
            raise BadInput.single(file, f"is no such archive; {expected}") from None
        if not isinstance(about, dict) or about.get("kind") != kind or about.get("version") != VERSION:
            found = (about.get("kind"), about.get("version")) if isinstance(about, dict) else about
            message = f"is of {found!r}; expected {kind!r}, version {VERSION}"
            raise BadInput.single(f"{file}, {name}", message)
        yield archive, about


def table_of(archive: zipfile.ZipFile, model: type[Row], file: Path) -> Iterator[dict[str, Any]]:
    """The rows of a table."""
    name = f"tables/{model.__tablename__}.jsonl"
    with _member(archive, name, file, MOST_FILE) as stream:
        yield from read_rows(model, stream, f"{file}, {name}")


@contextmanager
def _member(archive: zipfile.ZipFile, name: str, file: Path, most: int) -> Iterator[IO[bytes]]:
    """A file of an archive; what is wrong with it while it is read is bad input."""
    place = f"{file}, {name}"
    try:
        info = archive.getinfo(name)
        stream = archive.open(info)
    except (*_ERRORS, KeyError):
        raise BadInput.single(place, "is missing or cannot be read") from None
    with stream:
        if info.file_size > most:
            raise BadInput.single(place, f"has {info.file_size:,} bytes; expected at most {most:,}")
        try:
            yield stream
        except _ERRORS as error:
            raise BadInput.single(place, f"is damaged: {error}") from None


def take_labels(
    board: Board, archive: zipfile.ZipFile, about: dict[str, Any], file: Path
) -> dict[str, dict[str, str]]:
    """Keeps the labels of a second file: the secrets of each challenge by its name."""
    taken = {}
    for name, secret in cast(dict[str, dict[str, str]], about.get("challenges", {})).items():
        fields = ("labels_key", "labels_sha256", "split_seed")
        if not isinstance(secret, dict) or not all(isinstance(secret.get(field), str) for field in fields):
            raise BadInput.single(f"{file}, labels.json, {name}", f"expected texts: {', '.join(fields)}")
        key = _take_file(board, archive, secret["labels_key"], secret["labels_sha256"], MOST_FILE, file)
        taken[name] = {"labels_key": key, "split_seed": secret["split_seed"]}
    return taken


def take_files(
    board: Board, archive: zipfile.ZipFile, found: dict[type[Row], list[dict[str, Any]]], file: Path
) -> dict[str, str]:
    """Keeps the files that rows refer to: the key that each had, and the one it has here."""
    keys: dict[str, str] = {}
    problems: list[Problem] = []
    for row in (*found[Submission], *found[Attachment]):
        if row["file_key"] in keys:
            continue
        try:
            keys[row["file_key"]] = _take_file(
                board, archive, row["file_key"], row["sha256"], row["size"], file
            )
        except BadInput as error:
            problems += error.problems
            if len(problems) >= MOST_PROBLEMS:
                break
    if problems:
        raise BadInput(problems)
    return keys


def _take_file(board: Board, archive: zipfile.ZipFile, key: str, sha256: str, most: int, file: Path) -> str:
    name = f"files/{key}"
    with _member(archive, name, file, most) as stream:
        stored = board.files.put(cast(Any, stream), most)
    if stored.sha256 != sha256:
        raise BadInput.single(f"{file}, {name}", f"has SHA-256 {stored.sha256}; expected {sha256}")
    return stored.key
