"""The bundled data set: procedural pictures of surfaces, flawless or with one of six flaws. Needs no network.

Lengths inside the generator are in *units*: 96 units are one picture's side, whatever its size in pixels, so that a
picture of 192 px shows the same scene as one of 96 px. Every picture draws from its own random generator, seeded by
(seed, split, index): neither the number of pictures nor the order of making them changes a picture.
"""
