"""From observations to one screened row per local day, and to the models' inputs."""
