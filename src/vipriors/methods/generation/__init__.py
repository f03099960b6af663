"""Methods that make images: new ones, and others from a few numbers."""
