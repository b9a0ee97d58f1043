"""The server. Gateway (HTTP, limits, admission) -> core (decode, preprocess, top-k) -> inference (lent predictors)."""
