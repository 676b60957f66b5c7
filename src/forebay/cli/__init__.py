"""The command line: one module per group of commands."""


def main() -> None:
    """Run the command line, the entry point `forebay`."""
    from forebay.cli.app import main as run

    run()
