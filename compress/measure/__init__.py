"""How fast and how large: latency, the speed of the machine meanwhile, what interferes, and profiles."""
