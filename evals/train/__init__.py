"""Our training loop beside a plain one."""
