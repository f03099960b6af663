"""Diagnoses: what is behind the score of predictions. `tide` tells which errors cost a detector its AP."""
