"""The pages of an event: a static site made from one text file."""
