"""What was measured as JSON (`docs/results/data/`), and the Markdown and the drawing that are made of it."""
