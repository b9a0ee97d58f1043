"""Boxes: what a detector's numbers mean, once, for training, calibration, parity, benchmark, predict and server.

Everything is numpy in float32 and computed in one order, so that equal numbers give equal boxes wherever they are read.
Boxes are corners (x0, y0, x1, y1); in the network's own square they are shares, 0..1, else pixels.

Letters: N images, A anchors, C classes, K scores of an anchor (C, and one for the background where there is one),
B boxes.
"""
