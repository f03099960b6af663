"""Action recognition in clips, from few of them."""
