"""Object detection from few images."""
