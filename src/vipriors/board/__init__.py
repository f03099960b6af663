"""The board: a server that takes submissions, scores them once, and ranks them."""
