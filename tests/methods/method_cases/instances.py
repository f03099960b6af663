"""Scenes of squares and bars, to be found with their masks."""

from method_cases._objects import object_case

CASE = object_case("mask-prior", steps=70, least=0.3, with_masks=True)
