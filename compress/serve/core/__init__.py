"""What a request needs that knows no HTTP: admission, deadlines, the queue of work, the pool, answers kept, metrics."""
