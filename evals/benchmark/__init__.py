"""How far the measuring itself can be trusted."""
