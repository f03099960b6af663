"""Instance segmentation from few images."""
