"""Priors: reusable parts that build knowledge in, each of use alone in anybody's loop."""
