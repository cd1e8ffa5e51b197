"""A live caller always gets a document; notifications get an empty answer that says whether to send them again."""

import threading
from email.utils import format_datetime

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import Engine, func, select

from callcenter.clock import now
from callcenter.db import reading
from callcenter.models import Call, CallLeg
from tests.webhooks.door import CALLER, NUMBER, Carrier, only, said, twiml, verbs
from webhooks import media

NOBODY = "0" * 32
QUEUE = {"QueueSid": "QU" + "d" * 32, "QueuePosition": "1", "QueueTime": "3"}
ACTIONS = ("next", "again", "wait", "key", "consent", "message", "queued")


def test_a_caller_of_whom_we_know_nothing_is_sent_off_politely(carrier: Carrier) -> None:
    for place in (f"{NOBODY}/1", "not-an-id/1", f"{NOBODY}/0", f"{NOBODY}/x", f"{NOBODY}/9999999999"):
        for action in ACTIONS:
            answer = carrier.post(f"/webhooks/voice/calls/{place}/{action}", QUEUE)
            assert verbs(answer) == ["Say", "Hangup"], (place, action)


def test_music_on_hold_needs_no_row(carrier: Carrier) -> None:
    assert verbs(carrier.post(f"/webhooks/voice/calls/{NOBODY}/1/hold"))[-1] == "Redirect"


@pytest.mark.parametrize("path", ["/webhooks/voice/calls/x", "/webhooks/voice/offers/x/answer/", "/webhooks/voice/"])
def test_a_signed_request_for_an_address_that_does_not_exist_gets_a_document(carrier: Carrier, path: str) -> None:
    assert verbs(carrier.post(path)) == ["Say", "Hangup"]


def test_an_unknown_offer_is_told_that_the_call_is_taken(carrier: Carrier) -> None:
    assert verbs(carrier.post(f"/webhooks/voice/offers/{NOBODY}/answer")) == ["Say", "Hangup"]
    assert verbs(carrier.post(f"/webhooks/voice/offers/{NOBODY}/next")) == ["Hangup"]
    assert verbs(carrier.post("/webhooks/voice/offers/nonsense/answer")) == ["Say", "Hangup"]


def test_nobodys_number_is_not_in_service(carrier: Carrier, engine: Engine) -> None:
    answer = carrier.rings(To="+441632000000")
    assert verbs(answer) == ["Say", "Hangup"]
    assert "not in service" in said(answer)
    assert _calls(engine) == 0


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/webhooks/voice/status", {"CallStatus": "completed"}),
        ("/webhooks/voice/status", {"CallStatus": "dreaming"}),
        (f"/webhooks/status/offers/{NOBODY}", {"CallStatus": "ringing"}),
        ("/webhooks/status/offers/nonsense", {"CallStatus": "ringing"}),
        (
            f"/webhooks/status/conferences/{NOBODY}/1",
            {"ConferenceSid": "CF" + "1" * 32, "StatusCallbackEvent": "conference-end"},
        ),
        (
            f"/webhooks/status/conferences/{NOBODY}/1",
            {"ConferenceSid": "CF" + "1" * 32, "StatusCallbackEvent": "participant-mute"},
        ),
        (f"/webhooks/recording/{NOBODY}", {"RecordingSid": "RE" + "1" * 32, "RecordingStatus": "completed"}),
        (f"/webhooks/recording/{NOBODY}", {"RecordingSid": "RE" + "1" * 32, "RecordingStatus": "processing"}),
    ],
)
def test_a_notification_about_nothing_we_know_is_no_error(carrier: Carrier, path: str, fields: dict[str, str]) -> None:
    answer = carrier.post(path, fields)
    assert (answer.status_code, answer.data) == (204, b"")


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/webhooks/voice/status", {}),
        ("/webhooks/voice/status", {"CallStatus": "completed", "CallDuration": "long"}),
        (f"/webhooks/status/conferences/{NOBODY}/1", {"ConferenceSid": "CF1", "StatusCallbackEvent": "conference-end"}),
        (f"/webhooks/recording/{NOBODY}", {"RecordingSid": "RE" + "1" * 32}),
    ],
)
def test_a_notification_that_does_not_fit_is_refused(carrier: Carrier, path: str, fields: dict[str, str]) -> None:
    answer = carrier.post(path, fields)
    assert (answer.status_code, answer.data) == (400, b"")


def test_the_same_first_request_five_times_at_once_is_one_call_and_one_answer(carrier: Carrier, engine: Engine) -> None:
    answers: list[bytes] = []
    ring = threading.Barrier(5)

    def once() -> None:
        ring.wait()
        answers.append(Carrier(carrier.app).rings().data)

    threads = [threading.Thread(target=once) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 5
    assert len(set(answers)) == 1
    assert _calls(engine) == 1


def test_a_first_request_that_is_replayed_after_the_end_changes_nothing(carrier: Carrier, engine: Engine) -> None:
    carrier.rings()
    ended = {"CallStatus": "completed", "To": NUMBER, "Timestamp": format_datetime(now())}
    assert carrier.post("/webhooks/voice/status", ended).status_code == 204
    assert verbs(carrier.rings())[-1] == "Hangup"
    assert carrier.post("/webhooks/voice/status", CallStatus="ringing", To=NUMBER).status_code == 204
    with reading(engine) as session:
        assert session.scalars(select(Call)).one().ended_at is not None
    assert _calls(engine) == 1


def test_key_nine_is_confirmed_and_not_asked_for_again(carrier: Carrier) -> None:
    wait = only(twiml(carrier.rings()), "Enqueue").attrib["waitUrl"]
    carrier.post(wait, QUEUE)
    answer = carrier.post(wait.replace("/wait", "/key"), Digits="9")
    assert "not be recorded" in said(answer)
    assert "Gather" not in verbs(answer)
    assert "Gather" not in verbs(carrier.post(wait, QUEUE))


@pytest.mark.parametrize("result", ["error", "queue-full", "system-error"])
def test_a_queue_that_fails_leads_to_the_clinic_instead_of_round_in_a_circle(carrier: Carrier, result: str) -> None:
    carrier.door.snapshot.refresh(carrier.door.engine)
    queued = only(twiml(carrier.rings()), "Enqueue").attrib["action"]
    answer = carrier.post(queued, QueueResult=result, To=NUMBER)
    assert only(twiml(answer), "Number").text == "+441632960999"


def test_a_caller_who_hung_up_in_the_queue_is_not_asked_to_wait_again(carrier: Carrier) -> None:
    queued = only(twiml(carrier.rings()), "Enqueue").attrib["action"]
    assert verbs(carrier.post(queued, QueueResult="hangup")) == ["Hangup"]


def test_hold_music_is_public_can_be_kept_and_is_real_audio(carrier: Carrier) -> None:
    client = carrier.app.test_client()
    path = f"/media/{media.content_hash(media.piece('calm'))}"
    whole = client.get(path)
    assert whole.data[:4] == b"RIFF"
    assert "immutable" in whole.headers["Cache-Control"]
    assert client.get(path, headers={"If-None-Match": whole.headers["ETag"]}).status_code == 304
    assert client.get(path, headers={"Range": "bytes=0-3"}).data == b"RIFF"
    assert client.get("/media/" + "0" * 32).status_code == 404
    assert client.post(path).status_code in (403, 405)


def test_probes_answer_without_a_signature(carrier: Carrier) -> None:
    client = carrier.app.test_client()
    assert [client.get(path).json for path in ("/healthz", "/readyz")] == [{"status": "ok"}, {"status": "ok"}]


def test_the_time_of_an_answer_is_counted_by_endpoint_only(carrier: Carrier) -> None:
    carrier.rings()
    endpoints = {
        sample.labels["endpoint"]
        for metric in REGISTRY.collect()
        if metric.name == "callcenter_webhook_seconds"
        for sample in metric.samples
    }
    assert "voice.incoming" in endpoints
    assert not [endpoint for endpoint in endpoints if CALLER in endpoint or "/" in endpoint]


def _calls(engine: Engine) -> int:
    with reading(engine) as session:
        legs = session.scalar(select(func.count()).select_from(CallLeg))
        calls = session.scalar(select(func.count()).select_from(Call))
        assert calls == legs
        return calls or 0


def test_no_browser_guesses_what_the_door_answers(carrier: Carrier) -> None:
    client = carrier.app.test_client()
    answers = [carrier.rings(), client.post("/webhooks/voice/incoming"), client.get("/nothing"), client.get("/healthz")]
    assert [answer.headers.get("X-Content-Type-Options") for answer in answers] == ["nosniff"] * 4
