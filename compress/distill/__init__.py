"""The distill room: a small student learns from a teacher's soft labels, mostly to recover from pruning."""
