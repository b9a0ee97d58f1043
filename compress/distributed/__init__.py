"""Several processes that train one model: their ranks, their collectives, and the run that they share."""
