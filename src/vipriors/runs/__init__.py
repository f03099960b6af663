"""One training of one method on one challenge: a folder that can be resumed, scored, audited and used."""
