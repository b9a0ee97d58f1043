"""Ordinary requests of mainstream HTTP clients to the server, for docs/results/clients and the tests."""
