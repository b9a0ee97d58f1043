"""Detectors in the training loop: augmentation that moves boxes, targets of anchors, losses, the verdict by mAP.

Letters: N images, A anchors, K scores of an anchor, S side of the stored squares.
"""
