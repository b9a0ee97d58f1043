"""What a page says beside its table, computed from its JSON: verdicts, and where we lose."""
