"""Which TwiML verbs, nouns and attributes exist, and what values they take (twilio-voice.md §4)."""

import re

ANY = re.compile(r"(?s).*")
NUMBER = re.compile(r"\d{1,6}")
POSITIVE = re.compile(r"[1-9]\d{0,5}")
TRUTH = re.compile(r"true|false")
METHOD = re.compile(r"GET|POST")
TRIM = re.compile(r"trim-silence|do-not-trim")
TRACK = re.compile(r"inbound|outbound|both")
RECORDING_EVENTS = re.compile(r"(in-progress|completed|absent)( (in-progress|completed|absent))*")
LEG_EVENTS = re.compile(r"(initiated|ringing|answered|completed)( (initiated|ringing|answered|completed))*")
CONFERENCE_EVENT = "start|end|join|leave|mute|hold|modify|speaker|announcement"
CONFERENCE_EVENTS = re.compile(f"({CONFERENCE_EVENT})( ({CONFERENCE_EVENT}))*")
DIGITS = re.compile(r"[0-9A-D#*wW]+")
KEYS = re.compile(r"[0-9#*]*")

_RECORDING_CALLBACK = {
    "recordingStatusCallback": ANY,
    "recordingStatusCallbackMethod": METHOD,
    "recordingStatusCallbackEvent": RECORDING_EVENTS,
}
_LEG_CALLBACK = {"statusCallback": ANY, "statusCallbackMethod": METHOD, "statusCallbackEvent": LEG_EVENTS}
_DIAL_RECORD = re.compile(r"do-not-record|record-from-(answer|ringing)(-dual)?|true|false")

ATTRIBUTES: dict[str, dict[str, re.Pattern[str]]] = {
    "Say": {"voice": ANY, "language": ANY, "loop": NUMBER},
    "Play": {"loop": NUMBER, "digits": DIGITS},
    "Pause": {"length": NUMBER},
    "Redirect": {"method": METHOD},
    "Reject": {"reason": re.compile(r"rejected|busy")},
    "Hangup": {},
    "Leave": {},
    "Start": {"action": ANY, "method": METHOD},
    "Stop": {},
    "Gather": {
        "input": re.compile(r"dtmf|speech|dtmf speech|speech dtmf"),
        "action": ANY,
        "method": METHOD,
        "timeout": NUMBER,
        "numDigits": POSITIVE,
        "finishOnKey": re.compile(r"[0-9#*]?"),
        "actionOnEmptyResult": TRUTH,
        "speechTimeout": ANY,
        "speechModel": ANY,
        "enhanced": TRUTH,
        "language": ANY,
        "hints": ANY,
        "profanityFilter": TRUTH,
    },
    "Dial": {
        "action": ANY,
        "method": METHOD,
        "timeout": POSITIVE,
        "timeLimit": POSITIVE,
        "answerOnBridge": TRUTH,
        "callerId": ANY,
        "record": _DIAL_RECORD,
        "trim": TRIM,
        "recordingTrack": TRACK,
        "hangupOnStar": TRUTH,
        "ringTone": re.compile(r"[a-z]{2}(-old)?"),
        "sequential": TRUTH,
        **_RECORDING_CALLBACK,
    },
    "Client": {"url": ANY, "method": METHOD, **_LEG_CALLBACK},
    "Number": {"url": ANY, "method": METHOD, "sendDigits": DIGITS, **_LEG_CALLBACK},
    "Identity": {},
    "Parameter": {"name": ANY, "value": ANY},
    "Conference": {
        "muted": TRUTH,
        "beep": re.compile(r"true|false|onEnter|onExit"),
        "startConferenceOnEnter": TRUTH,
        "endConferenceOnExit": TRUTH,
        "participantLabel": ANY,
        "jitterBufferSize": re.compile(r"small|medium|large|off"),
        "waitUrl": ANY,
        "waitMethod": METHOD,
        "maxParticipants": POSITIVE,
        "record": re.compile(r"do-not-record|record-from-start|true|false"),
        "trim": TRIM,
        "region": re.compile(r"us1|ie1|de1|sg1|br1|au1|jp1"),
        "coach": re.compile(r"CA[0-9a-f]{32}"),
        "statusCallback": ANY,
        "statusCallbackMethod": METHOD,
        "statusCallbackEvent": CONFERENCE_EVENTS,
        **_RECORDING_CALLBACK,
    },
    "Enqueue": {"action": ANY, "method": METHOD, "waitUrl": ANY, "waitUrlMethod": METHOD, "maxQueueSize": POSITIVE},
    "Record": {
        "action": ANY,
        "method": METHOD,
        "timeout": NUMBER,
        "finishOnKey": KEYS,
        "maxLength": POSITIVE,
        "playBeep": TRUTH,
        "trim": TRIM,
        "transcribe": re.compile(r"false"),
        **_RECORDING_CALLBACK,
    },
    "Recording": {
        "name": ANY,
        "channels": re.compile(r"mono|dual"),
        "track": TRACK,
        "trim": TRIM,
        **_RECORDING_CALLBACK,
    },
}

VERBS = frozenset(
    {"Say", "Play", "Pause", "Redirect", "Reject", "Hangup", "Leave", "Start", "Stop", "Gather", "Dial"}
    | {"Enqueue", "Record"}
)
CHILDREN: dict[str, frozenset[str]] = {
    "Gather": frozenset({"Say", "Play", "Pause"}),
    "Dial": frozenset({"Client", "Conference", "Number"}),
    "Client": frozenset({"Identity", "Parameter"}),
    "Start": frozenset({"Recording"}),
    "Stop": frozenset({"Recording"}),
}
# Real at Twilio, but this product does not use them: refused loudly rather than half played.
NOT_PLAYED = frozenset(
    {"Refer", "Connect", "Pay", "Prompt", "Sms", "Queue", "Sip", "Sim", "Application", "WhatsApp", "Stream"}
    | {"Siprec", "Transcription", "Task"}
)
# Valid, but without effect here: said on the inspector, because a test that relies on them would prove nothing.
NO_EFFECT = frozenset(
    {("Start", "action"), ("Gather", "speechTimeout"), ("Gather", "hints"), ("Dial", "hangupOnStar")}
    | {("Dial", "recordingTrack"), ("Number", "sendDigits")}
)
QUEUE_WAIT_VERBS = frozenset({"Play", "Say", "Pause", "Hangup", "Redirect", "Leave", "Gather"})
ROOM_VERBS = frozenset({"Play", "Say", "Pause", "Redirect"})
NUMBER_URL_VERBS = frozenset({"Play", "Say", "Gather", "Hangup"})
