"""From files on disk to labelled pixels: data sets, the one preprocessing, pixel caches, calibration, the generator."""
