"""Torch loops shared by train, prune's recovery, distil and QAT. `options` alone is light."""
