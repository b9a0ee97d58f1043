"""The bundled data set: procedural images of surfaces, flawless or with one of six flaws. Needs no network.

Lengths inside the generator are in *units*: 96 units are one image's side, whatever its size in pixels, so that a
image of 192 px shows the same scene as one of 96 px. Every image draws from its own random generator, seeded by
(seed, split, index): neither the number of images nor the order of making them changes an image.
"""
