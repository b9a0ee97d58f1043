"""The server: gateway (HTTP, limits, admission) -> logic (decode, preprocess, top-k) -> inference (shared predictors)."""
