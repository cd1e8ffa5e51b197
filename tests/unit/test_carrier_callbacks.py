"""The carrier's words become ours, and what does not fit is refused (S3, P2)."""

from datetime import UTC, datetime

import pytest

from callcenter.carrier import callbacks
from callcenter.carrier.callbacks import QueueEnd
from callcenter.domain.calls import LegState
from callcenter.domain.events import ConferenceEventKind, RecordingReportKind
from callcenter.errors import BadInput, Forbidden

ACCOUNT = "AC" + "1" * 32
CALL, CONFERENCE = "CA" + "c" * 32, "CF" + "d" * 32
QUEUE, RECORDING = "QU" + "e" * 32, "RE" + "f" * 32
SENT = {"AccountSid": ACCOUNT, "CallSid": CALL, "From": "+447700900123", "To": "+441632960001"}


def read(**more: str) -> callbacks.Fields:
    return callbacks.read((SENT | more).items(), ACCOUNT)


def test_only_listed_parameters_are_kept_and_blank_ones_are_absent() -> None:
    kept = read(FromCity="LITTLE WHINGING", CallerName="MRS FLETCHER", Anything="new", Digits="", CallStatus="ringing")
    assert kept == SENT | {"CallStatus": "ringing"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CallSid", "CA" + "c" * 31),
        ("CallSid", "CA" + "C" * 32),
        ("CallSid", CALL + "\n"),
        ("ConferenceSid", CALL),
        ("QueueSid", "QU"),
        ("RecordingSid", "../" + RECORDING),
        ("CallStatus", "completed; drop table calls"),
        ("CallDuration", "-1"),
        ("CallDuration", "٣"),
        ("SequenceNumber", "1e3"),
        ("QueueTime", "first"),
        ("Digits", "1,2"),
        ("Digits", "1" * 33),
        ("RecordingDuration", "12.5"),
        ("RecordingChannels", "3"),
        ("Timestamp", "<script>"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_without_being_quoted(name: str, value: str) -> None:
    with pytest.raises(BadInput) as refused:
        read(**{name: value})
    assert name in str(refused.value)
    assert value not in str(refused.value)


@pytest.mark.parametrize("name", ["CallSid", "FromCity", "Unheard"])
def test_a_repeated_parameter_is_refused_whether_we_use_it_or_not(name: str) -> None:
    with pytest.raises(Forbidden) as refused:
        callbacks.read([*SENT.items(), (name, CALL), (name, CALL)], ACCOUNT)
    assert refused.value.code == "repeated_parameter"


@pytest.mark.parametrize("account", [None, "", "AC" + "2" * 32, "ac" + "1" * 32])
def test_another_account_is_refused(account: str | None) -> None:
    form = {name: value for name, value in SENT.items() if name != "AccountSid"}
    with pytest.raises(Forbidden) as refused:
        callbacks.read([*form.items(), *([("AccountSid", account)] if account is not None else [])], ACCOUNT)
    assert refused.value.code == "foreign_account"


@pytest.mark.parametrize(
    ("sent", "number"),
    [
        ("+447700900123", "+447700900123"),
        ("anonymous", None),
        ("Restricted", None),
        ("+266696687", None),
        ("+86282452253", None),
        ("client:receptionist_1", None),
        ("sip:someone@example.org", None),
        ("'; DROP TABLE calls; --", None),
        ("\u202eevil\r\n", None),
        ("", None),
    ],
)
def test_a_withheld_or_unusable_caller_number_is_none(sent: str, number: str | None) -> None:
    assert callbacks.parse_incoming(read(From=sent)).from_number == number


@pytest.mark.parametrize("to", ["", "client:receptionist_1", "01632960001", "+44", "+441632960001x"])
def test_a_call_to_something_that_is_no_number_is_refused(to: str) -> None:
    with pytest.raises(BadInput):
        callbacks.parse_incoming(read(To=to))


def test_every_leg_status_has_its_word_and_its_own_key() -> None:
    words = {
        "queued": LegState.INITIATED,
        "initiated": LegState.INITIATED,
        "ringing": LegState.RINGING,
        "in-progress": LegState.IN_PROGRESS,
        "completed": LegState.COMPLETED,
        "busy": LegState.BUSY,
        "no-answer": LegState.NO_ANSWER,
        "failed": LegState.FAILED,
        "canceled": LegState.CANCELLED,
    }
    reports = {word: callbacks.parse_leg(read(CallStatus=word, SequenceNumber="2")) for word in words}
    assert {word: report.state for word, report in reports.items() if report} == words
    assert len({report.key for report in reports.values() if report}) == len(words)
    assert callbacks.parse_leg(read(CallStatus="dreaming")) is None


def test_a_leg_report_carries_time_and_duration_and_a_repeat_has_the_same_key() -> None:
    sent = {"CallStatus": "completed", "CallDuration": "61", "SequenceNumber": "3"}
    report = callbacks.parse_leg(read(Timestamp="Mon, 02 Mar 2026 10:00:00 +0100", **sent))
    again = callbacks.parse_leg(read(**sent))
    assert report is not None
    assert again is not None
    assert (report.at, report.duration_seconds) == (datetime(2026, 3, 2, 9, 0, tzinfo=UTC), 61)
    assert report.key == again.key
    other = callbacks.parse_leg(read(**sent | {"SequenceNumber": "4"}))
    assert other is not None
    assert other.key != report.key


@pytest.mark.parametrize(
    ("sent", "at"),
    [
        ("Mon, 02 Mar 2026 09:00:00 GMT", datetime(2026, 3, 2, 9, tzinfo=UTC)),
        ("Mon, 02 Mar 2026 09:00:00 -0000", datetime(2026, 3, 2, 9, tzinfo=UTC)),
        ("yesterday", None),
        ("Mon, 99 Mar 2026 09:00:00 GMT", None),
    ],
)
def test_an_event_whose_time_cannot_be_read_still_counts(sent: str, at: datetime | None) -> None:
    report = callbacks.parse_leg(read(CallStatus="completed", Timestamp=sent))
    assert report is not None
    assert report.at == at


def test_conference_events_that_we_use_are_told_and_others_are_not() -> None:
    words = {
        "conference-start": ConferenceEventKind.START,
        "conference-end": ConferenceEventKind.END,
        "participant-join": ConferenceEventKind.JOIN,
        "participant-leave": ConferenceEventKind.LEAVE,
        "participant-hold": ConferenceEventKind.HOLD,
        "participant-unhold": ConferenceEventKind.UNHOLD,
    }
    for word, kind in words.items():
        event = callbacks.parse_conference(read(ConferenceSid=CONFERENCE, StatusCallbackEvent=word))
        assert event is not None
        assert (event.kind, event.carrier_conference_sid, event.carrier_call_sid) == (kind, CONFERENCE, CALL)
    assert callbacks.parse_conference(read(ConferenceSid=CONFERENCE, StatusCallbackEvent="participant-mute")) is None
    with pytest.raises(BadInput):
        callbacks.parse_conference(read(StatusCallbackEvent="conference-start"))


def test_a_recording_is_in_progress_completed_or_absent() -> None:
    sent = {"RecordingSid": RECORDING, "RecordingDuration": "12", "RecordingChannels": "2"}
    done = callbacks.parse_recording(read(RecordingStatus="completed", **sent))
    assert done is not None
    assert (done.kind, done.duration_seconds, done.channels) == (RecordingReportKind.COMPLETED, 12, 2)
    for word in ("absent", "failed"):
        gone = callbacks.parse_recording(read(RecordingStatus=word, **sent | {"RecordingDuration": "-1"}))
        assert gone is not None
        assert (gone.kind, gone.duration_seconds) == (RecordingReportKind.ABSENT, None)
    assert callbacks.parse_recording(read(RecordingStatus="processing", **sent)) is None


def test_which_queue_a_caller_stands_in_and_how_long() -> None:
    fields = read(QueueSid=QUEUE, QueueTime="17")
    assert (callbacks.parse_wait(fields), callbacks.waited_seconds(fields)) == (QUEUE, 17)
    assert (callbacks.parse_wait(read()), callbacks.waited_seconds(read())) == (None, 0)


@pytest.mark.parametrize(
    ("word", "end"),
    [
        ("leave", QueueEnd.LEFT),
        ("redirected", QueueEnd.LEFT),
        ("something-new", QueueEnd.LEFT),
        ("hangup", QueueEnd.GONE),
        ("queue-full", QueueEnd.FAILED),
        ("error", QueueEnd.FAILED),
        ("system-error", QueueEnd.FAILED),
    ],
)
def test_why_a_caller_left_the_queue(word: str, end: QueueEnd) -> None:
    assert callbacks.parse_queue_end(read(QueueResult=word)) == end


def test_keys_and_the_length_of_a_message_are_read() -> None:
    assert (callbacks.parse_digits(read(Digits="9")), callbacks.parse_digits(read())) == ("9", "")
    assert callbacks.parse_record_action(read(RecordingDuration="7", Digits="hangup")) == 7
    assert (callbacks.parse_record_action(read()), callbacks.parse_record_action(read(RecordingDuration="-1"))) == (
        0,
        0,
    )
