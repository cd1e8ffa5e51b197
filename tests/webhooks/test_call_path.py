"""From the first ring to the talk, by the documents that the door answers."""

import re

from sqlalchemy import Engine, select

from callcenter.clock import now
from callcenter.db import reading, transaction
from callcenter.models import Call
from callcenter.services import queueing
from tests.webhooks.door import Carrier, only, said, target_of, twiml, verbs

QUEUE = {"QueueSid": "QU" + "d" * 32, "QueuePosition": "1", "QueueTime": "3"}
RECEPTIONIST_LEG = "CA" + "e" * 32


def test_a_caller_is_greeted_told_of_recording_and_put_into_the_queue(carrier: Carrier) -> None:
    answer = carrier.rings()
    assert verbs(answer) == ["Say", "Say", "Enqueue", "Redirect"]
    assert "Oak Lane" in said(answer)
    assert "recorded" in said(answer)


def test_a_waiting_caller_hears_her_place_and_music_and_can_press_a_key(carrier: Carrier) -> None:
    wait = only(twiml(carrier.rings()), "Enqueue").attrib["waitUrl"]
    answer = carrier.post(wait, QUEUE)
    assert verbs(answer) == ["Gather", "Redirect"]
    assert "number 1" in said(answer)
    music = only(twiml(answer), "Play").text or ""
    assert carrier.app.test_client().get(target_of(music)).content_type == "audio/wav"


def test_receptionist_and_caller_meet_in_the_same_conference(carrier: Carrier, engine: Engine) -> None:
    wait = only(twiml(carrier.rings()), "Enqueue").attrib["waitUrl"]
    carrier.post(wait, QUEUE)
    offer_id = _offer(carrier, engine)
    hers = twiml(carrier.post(f"/webhooks/voice/offers/{offer_id}/answer", CallSid=RECEPTIONIST_LEG))
    his = twiml(carrier.post(re.sub("wait#.*", "next", wait)))
    assert only(hers, "Conference").text == only(his, "Conference").text
    assert only(his, "Conference").attrib["endConferenceOnExit"] == "true"
    assert only(hers, "Conference").attrib["endConferenceOnExit"] == "false"
    assert only(his, "Recording").attrib["channels"] == "dual"


def test_a_repeated_first_request_gets_the_same_answer_and_no_second_call(carrier: Carrier, engine: Engine) -> None:
    assert carrier.rings().data == carrier.rings().data
    with reading(engine) as session:
        assert len(session.scalars(select(Call)).all()) == 1


def _offer(carrier: Carrier, engine: Engine) -> str:
    """What the worker would do: offer the call to the receptionist."""
    with transaction(engine) as session:
        offer = queueing.dispatch(session, voice=carrier.door.settings.voice, now=now())
        assert offer is not None
        return offer.id
