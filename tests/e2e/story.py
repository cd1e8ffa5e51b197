"""What became of one call, for the message of a failing test."""

import requests

from callcenter.models import Call


def story_of(control: str, sid: str, call: Call | None) -> str:
    """The call as we know it, the caller's telephone, and all that passed about it between the carrier and us."""
    exchanges = requests.get(f"{control}/exchanges", timeout=10).json()["exchanges"]
    lines = [f"{e['at']} {e['kind']} {e['url']} {e['event']} {e['status']}" for e in exchanges if sid in str(e)]
    ours = call and {column.name: getattr(call, column.name) for column in call.__table__.columns}
    phone = requests.get(f"{control}/calls/{sid}", timeout=10).json()
    return "\n".join(["--- the call", str(ours), str(phone), *lines])
