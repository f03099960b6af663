"""Where a board keeps its things, and its limits; from arguments or `VIPRIORS_BOARD_…` in the environment."""

from __future__ import annotations

import os
import secrets
import socket
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vipriors.data.files import os_errors
from vipriors.problems import BadInput, Problem

PREFIX = "VIPRIORS_BOARD_"

MEGABYTE = 2**20


class Settings(BaseModel):
    """How a board is set up. Every field can be given in the environment: `VIPRIORS_BOARD_HOME`, ….

    Raises:
        BadInput: by `read_settings`, with every field that is wrong.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    home: Path = Field(Path("board"), description="Folder of the database, files and secret by default.")
    database: str = Field("", description="SQLAlchemy URL; by default SQLite in `home`.")
    files: str = Field("", description="fsspec URL such as s3://bucket/board; by default a folder in `home`.")
    base_url: str = Field("http://127.0.0.1:8000", description="As people reach the board.")
    worker_name: str = Field(
        "",
        description="Names this process among those that score; by default the host's name and a random "
        "number. With a name of its own it takes up at once what it left when it was killed, else others do.",
    )
    workers: int = Field(
        1,
        ge=0,
        le=64,
        description="Submissions that each process scores at a time; 0 scores none. Where processes differ, "
        "the one started last decides for all.",
    )
    upload_bytes: int = Field(512 * MEGABYTE, ge=1, description="Largest upload.")
    uploads_a_minute: int = Field(10, ge=1, description="Of one person, good or bad.")
    scoring_seconds: int = Field(600, ge=1, description="CPU time for one submission.")
    scoring_bytes: int = Field(4096 * MEGABYTE, ge=256 * MEGABYTE, description="Memory for one submission.")
    open_sign_up: bool = Field(True, description="Whether anybody may sign up.")

    @property
    def database_url(self) -> str:
        """Where the database is."""
        return self.database or f"sqlite:///{(self.home / 'board.db').absolute()}"

    @property
    def files_url(self) -> str:
        """Where files are."""
        return self.files or (self.home / "files").absolute().as_uri()

    @cached_property
    def worker(self) -> str:
        """What this process is called as a worker."""
        return self.worker_name or f"{socket.gethostname()}-{secrets.token_hex(4)}"

    @property
    def secure(self) -> bool:
        """Whether people reach the board over HTTPS, so that cookies may be told to stay there."""
        return self.base_url.startswith("https://")

    @cached_property
    def secret(self) -> bytes:
        """What signs links and cookies: in `home/secret`, made on the first use, for its owner alone."""
        file = self.home / "secret"
        with os_errors(file):
            self.home.mkdir(parents=True, exist_ok=True)
            try:
                with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as made:
                    made.write(secrets.token_bytes(32))
            except FileExistsError:
                pass
            return file.read_bytes()


def read_settings(**given: Any) -> Settings:
    """The settings given as arguments, else in the environment, else the defaults; None is not given.

    Raises:
        BadInput: with every setting that is wrong.
    """
    values = {
        name: os.environ[PREFIX + name.upper()]
        for name in Settings.model_fields
        if PREFIX + name.upper() in os.environ
    }
    try:
        return Settings.model_validate(values | {k: v for k, v in given.items() if v is not None})
    except ValidationError as error:
        raise BadInput(
            Problem(
                f"board setting {fault['loc'][0]}",
                f"{fault['msg']}; found {fault['input']!r}",
            )
            for fault in error.errors(include_url=False)
        ) from None
