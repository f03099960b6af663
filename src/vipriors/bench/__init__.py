"""Measuring methods side by side: grids of runs, tuning, and the records that tables are made from."""
