"""How HTML pages are made of templates: everywhere with the same safe settings."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined


def templates(package: str, folder: str = ".") -> Environment:
    """The templates of a package.

    Texts are escaped, a name that is not given is an error, and lines with nothing but a tag leave no trace.

    Args:
        package: its name.
        folder: of the templates in it.
    """
    return Environment(
        loader=PackageLoader(package, folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
