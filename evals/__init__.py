"""Programs that measure `imgc` beside other tools. Not packaged: `make results-*` runs them and writes docs/results/.

Nothing under `compress` imports from here.
"""
