"""The HTTP face of the server: connections, bodies, keys and rate limits, one reply a request."""
