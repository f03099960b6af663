from web_helpers import PASSWORD, Browser

from vipriors.board.core import Board


def test_one_signs_up_and_out_and_in(board: Board) -> None:
    ada = Browser(board).sign_up("Ada")
    assert ">Ada</a>" in ada.get("/").text
    assert ada.send("/sign-out", "/").status_code == 303
    assert ">Ada</a>" not in ada.get("/").text
    answer = ada.send("/sign-in", name="Ada", password=PASSWORD)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert ">Ada</a>" in ada.get("/").text
