"""What was observed, with every revision."""
