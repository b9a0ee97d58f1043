"""`imgc report`: the results of a run as a table, as JSON, and as files beside it."""
