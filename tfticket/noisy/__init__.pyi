from tfticket.noise import *  # noqa: F403
