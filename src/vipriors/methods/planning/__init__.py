"""Methods that plan on maps with missing and with false links."""
