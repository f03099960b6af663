"""Image classification from few images."""
