"""Sources of labelled images, the subsets cut from them, and the prepared folders that runs read."""
