"""The prune room: whole channels taken out over dependency groups, so that a plain, narrower network is left.

torch-pruning (Fang 2023, DepGraph) finds which layers share channels; importance, allocation and rounding are here.
"""
