"""The server. Gateway (HTTP, limits, admission) -> logic (decode, preprocess, top-k) -> inference (lent predictors)."""
