"""The benchmark stage: every model of a run measured the same way, through the same Predictor, on the same images."""
