"""The command line: gathers options, calls one operation, renders what it returns."""
