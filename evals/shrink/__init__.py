"""Our pruning beside another pruner."""
