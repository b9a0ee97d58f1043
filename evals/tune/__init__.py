"""Our search beside a grid."""
