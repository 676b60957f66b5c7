"""The main jobs: a forecast and a hindcast of one dam."""
