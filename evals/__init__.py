"""Programs that measure `imgc` beside other tools. Not packaged: `make results-*` runs them, README shows the results.

Nothing under `compress` imports from here.
"""
