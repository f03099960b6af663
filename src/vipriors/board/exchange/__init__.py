"""What goes from board to board, and to and from other platforms."""
