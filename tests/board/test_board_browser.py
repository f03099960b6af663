"""A person's whole way through the board in a real browser, against a real server that scores."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from board_helpers import free_port, make_board, predictions, wait_for
from web_helpers import PASSWORD

SERVER = """
import sys
from vipriors.board import core, settings
from vipriors.board.web import serving
serving.serve(core.open_board(settings.read_settings()), serving.listen("127.0.0.1", int(sys.argv[1])))
"""

PATIENCE = 60_000
"""Milliseconds that a page is given."""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a server with the challenge `tiny`."""
    home, port = tmp_path_factory.mktemp("browser"), free_port()
    address = f"http://127.0.0.1:{port}"
    board = make_board(home, base_url=address)
    environment = {"VIPRIORS_BOARD_HOME": str(board.settings.home), "VIPRIORS_BOARD_BASE_URL": address}
    command = [sys.executable, "-c", SERVER, str(port)]
    with subprocess.Popen(command, env={**os.environ, **environment}) as server:
        try:

            def answers() -> bool:
                assert server.poll() is None
                try:
                    return httpx.get(address).status_code == 200
                except httpx.TransportError:
                    return False

            wait_for(answers)
            yield address
        finally:
            server.terminate()
            server.wait(30)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A browser."""
    playwright = pytest.importorskip("playwright.sync_api")
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip("no Chromium is installed; the variable CHROMIUM may say where one is")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])
def test_from_signing_up_to_the_leaderboard(
    address: str, chromium: Any, tmp_path: Path, scripts: bool
) -> None:
    name = "Ada" if scripts else "Grace"
    right = 32 if scripts else 24
    wrong = predictions(right).replace(b"img_7.png,3", b"img_7.png,four")
    (tmp_path / "wrong.csv").write_bytes(wrong)
    (tmp_path / "right.csv").write_bytes(predictions(right))
    context = chromium.new_context(java_script_enabled=scripts, timezone_id="Asia/Tokyo")
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text) if "Content Security" in said.text else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))

    page.goto(f"{address}/c/tiny/submit")
    page.get_by_role("link", name="Sign up", exact=True).first.click()
    page.get_by_label("Name").fill(name)
    page.get_by_label("Email").fill(f"{name}@example.org")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign up").click()
    page.get_by_role("button", name="Sign out").wait_for()

    page.goto(f"{address}/c/tiny")
    page.get_by_role("link", name="Team", exact=True).click()
    page.get_by_label("Name of the team").fill(f"{name}'s team")
    page.get_by_role("button", name="Make the team").click()
    page.get_by_role("heading", name=f"{name}'s team").wait_for()

    page.get_by_role("link", name="Submit", exact=True).click()
    page.get_by_label("An ensemble").check()
    page.get_by_label("Parameters").fill("1234567")
    page.get_by_label("Predictions").set_input_files(tmp_path / "wrong.csv")
    page.get_by_role("button", name="Submit", exact=True).click()
    page.get_by_text("This was not taken, and has used no quota.").wait_for()
    row = page.get_by_role("row").filter(has_text="wrong.csv, row 9")
    assert "'four' is no class; expected 0 to 3" in row.inner_text()
    assert page.get_by_label("Parameters").input_value() == "1234567"
    assert page.get_by_label("An ensemble").is_checked()

    page.get_by_label("Predictions").set_input_files(tmp_path / "right.csv")
    page.get_by_role("button", name="Submit", exact=True).click()
    page.wait_for_url(f"{address}/s/*")
    page.get_by_text("top-1 accuracy").first.wait_for()  # the page renews itself when it is scored
    score = page.locator(".number").inner_text().removesuffix(" %")
    assert 0 < float(score) < 100

    page.get_by_role("link", name="Leaderboard").click()
    row = page.get_by_role("row").filter(has_text=f"{name}'s team")
    assert score in row.inner_text() and "1.23 M" in row.inner_text() and "ensemble" in row.inner_text()
    assert row.inner_text().strip()[0] in "12"
    page.get_by_role("link", name="Team").last.click()
    assert "sort=team" in page.url
    page.goto(f"{address}/c/tiny")
    local = page.get_by_text("here)").count()
    assert local > 0 if scripts else local == 0
    assert complaints == []
    context.close()
