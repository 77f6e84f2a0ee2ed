"""Warden's own settings, on servers made for this run."""

from tests import services_plugin

services_plugin.start()

from warden.settings import *  # noqa: E402, F403 - reads the environment that was just made
