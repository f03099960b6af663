"""Methods that give every pixel a class."""
