"""Re-identification from few images."""
