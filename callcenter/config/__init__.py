"""Settings: from the environment, from files named by ``<NAME>_FILE`` for secrets, and from twilio_config.yaml.

``load(environ)`` reads everything once and reports every problem in one message. docs/configuration.md lists all.
"""

from callcenter.config.environment import load
from callcenter.config.settings import (
    SIMULATOR_ACCOUNT_SID,
    SIMULATOR_API_KEY_SECRET,
    SIMULATOR_API_KEY_SID,
    SIMULATOR_AUTH_TOKEN,
    VARIABLES,
    Settings,
    VoiceSettings,
)

__all__ = [
    "SIMULATOR_ACCOUNT_SID",
    "SIMULATOR_API_KEY_SECRET",
    "SIMULATOR_API_KEY_SID",
    "SIMULATOR_AUTH_TOKEN",
    "VARIABLES",
    "Settings",
    "VoiceSettings",
    "load",
]
