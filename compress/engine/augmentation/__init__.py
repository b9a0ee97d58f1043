"""Augmentation of training images: what is drawn for each, and how it is applied to a whole batch."""
