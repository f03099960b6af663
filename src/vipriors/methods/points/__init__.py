"""Methods that tell clouds of points apart."""
