"""``python -m casvault`` is the command line."""

from casvault.cli.main import run

if __name__ == "__main__":
    run()
