"""Typed to done: run a plan, seal what each stage makes, lock what is true, reuse what is already made."""
