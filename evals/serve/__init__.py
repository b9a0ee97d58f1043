"""Our server beside other servers."""
