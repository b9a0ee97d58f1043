"""The command line: Typer, one module a command group. The only package that prints or ends the process."""
