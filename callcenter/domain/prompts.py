"""What callers hear unless twilio_config.yaml or the clinic says otherwise. ``{name}`` parts are filled in by us."""

DEFAULT_PROMPTS: dict[str, str] = {
    "greeting": "Thank you for calling {clinic}.",
    "recording_notice": "Calls are recorded so that we can help you well. To opt out, press 9 while you wait.",
    "please_wait": "Please hold, a receptionist will be with you shortly.",
    "position": "You are number {position} in the queue.",
    "estimate": "We expect to answer in about {minutes} minutes.",
    "estimate_one": "We expect to answer in about one minute.",
    "refused": "Your call will not be recorded.",
    "connection_lost": "We are sorry, the line to our receptionist was interrupted. Please stay on the line.",
    "on_hold": "Please hold.",
    "voicemail": "We are sorry that nobody can take your call right now. "
    "Please leave your name, number and message after the tone.",
    "closed": "{clinic} is closed at the moment. Please leave your name, number and message after the tone.",
    "ask_to_record": "You asked not to be recorded. To leave a recorded message, press 1. Otherwise you can hang up.",
    "message_thanks": "Thank you, we have your message. Goodbye.",
    "goodbye": "Goodbye.",
    "apology": "We are sorry, we cannot take your call right now.",
    "forwarding": "Please hold, we will forward you.",
    "already_taken": "This call has already been taken.",
    "unknown_number": "This number is not in service.",
}
