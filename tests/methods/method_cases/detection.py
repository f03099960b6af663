"""Scenes of squares and bars, to be found in boxes."""

from method_cases._objects import object_case

CASE = object_case("box-prior", steps=130, least=0.4, with_masks=False)
