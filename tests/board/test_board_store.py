"""Files of a board: kept whole, under random keys, in a folder or on S3."""

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from board_helpers import free_port, wait_for

from vipriors.board.store import CHUNK, FileStore, receive
from vipriors.problems import BadInput

HELLO = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an S3 server with the bucket `bucket`."""
    import boto3
    from botocore.exceptions import BotoCoreError

    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    keys = {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "AWS_DEFAULT_REGION": "us-east-1"}
    before = os.environ.copy()
    os.environ |= {**keys, "AWS_ENDPOINT_URL": address}

    def is_up() -> bool:
        try:
            boto3.client("s3").create_bucket(Bucket="bucket")
        except BotoCoreError:
            return False
        return True

    try:
        wait_for(is_up)
        yield address
    finally:
        server.kill()
        server.wait()
        os.environ.clear()
        os.environ |= before


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> FileStore:
    """A store of each kind."""
    if request.param == "s3":
        request.getfixturevalue("s3")
        return FileStore("s3://bucket/some/board", skip_instance_cache=True)
    return FileStore((tmp_path / "files").as_uri())


def test_what_is_put_comes_back(store: FileStore) -> None:
    large = os.urandom(2 * CHUNK + 17)
    first, second = store.put(io.BytesIO(b"hello"), 5), store.put(io.BytesIO(large), len(large))
    assert (first.sha256, first.size) == (HELLO, 5)
    assert second.size == len(large)
    for key, content in ((first.key, b"hello"), (second.key, large)):
        with store.open(key) as file:
            assert file.read() == content
        with store.local(key) as path:
            assert path.read_bytes() == content


def test_equal_files_have_keys_of_their_own(store: FileStore) -> None:
    assert store.put(io.BytesIO(b"x"), 9).key != store.put(io.BytesIO(b"x"), 9).key


@pytest.mark.parametrize(
    "key", ["../board.db", "/etc/passwd", "", "ab", "ab/../../x", f"aa/{'b' * 32}", f"aa/a{'g' * 31}"]
)
def test_what_is_no_key_is_not_found(store: FileStore, key: str) -> None:
    with pytest.raises(FileNotFoundError):
        store.open(key)
    with pytest.raises(FileNotFoundError), store.local(key):
        pass


def test_a_key_of_nothing_is_not_found(store: FileStore) -> None:
    with pytest.raises(FileNotFoundError):
        store.open(f"aa/aa{'0' * 30}")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"123456", "upload: is larger than 5 bytes, the most that is taken"),
        (b"", "upload: is empty; expected a file"),
    ],
)
def test_what_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(BadInput) as caught, receive(io.BytesIO(content), 5):
        pass
    assert str(caught.value) == message


def test_an_endless_upload_ends_at_the_limit(tmp_path: Path) -> None:
    class Endless(io.RawIOBase):
        given = 0

        def read(self, size: int = -1) -> bytes:
            self.given += size
            return b"x" * size

    stream = Endless()
    store = FileStore((tmp_path / "files").as_uri())
    with pytest.raises(BadInput, match="larger than 3,000,000 bytes"):
        store.put(stream, 3_000_000)  # type: ignore[arg-type]
    assert stream.given <= 4 * CHUNK
    assert list((tmp_path / "files").rglob("*")) == []


def test_a_broken_connection_leaves_nothing(tmp_path: Path) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell():
                raise ConnectionResetError
            return super().read(1)

    store = FileStore((tmp_path / "files").as_uri())
    with pytest.raises(ConnectionResetError):
        store.put(Broken(b"abc"), 10)
    assert list((tmp_path / "files").rglob("*")) == []


def test_received_files_do_not_stay(tmp_path: Path) -> None:
    with receive(io.BytesIO(b"abc"), 10) as received:
        assert received.path.read_bytes() == b"abc"
    assert not received.path.parent.exists()


def test_unknown_kind_of_store() -> None:
    with pytest.raises(BadInput, match="expected file://… or s3://…"):
        FileStore("nothing://x")
