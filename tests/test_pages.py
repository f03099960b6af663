"""The settings that all templates share."""

import sys
from pathlib import Path

import pytest
from jinja2 import UndefinedError

from vipriors.pages import templates


def test_templates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "some_pages"
    (package / "inner").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "page.jinja").write_text("{% if true %}\n  {% set x = 1 %}\n{{ text }}\n{% endif %}\n")
    (package / "inner" / "page.jinja").write_text("inner")
    monkeypatch.syspath_prepend(tmp_path)
    page = templates("some_pages").get_template("page.jinja")
    assert page.render(text="<i>&") == "&lt;i&gt;&amp;\n"
    with pytest.raises(UndefinedError, match="'text' is undefined"):
        page.render()
    assert templates("some_pages", "inner").get_template("page.jinja").render() == "inner"
    sys.modules.pop("some_pages")
