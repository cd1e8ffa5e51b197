"""``callcenter api-key``: bearer keys of the JSON API."""

from typing import Any

import click
from sqlalchemy.orm import Session

from callcenter.cli.output import emit, json_option, table
from callcenter.cli.people import clinics_option, role_option
from callcenter.cli.transactions import work
from callcenter.domain.permissions import COMMAND_LINE
from callcenter.domain.receptionists import Role
from callcenter.models import ApiKey, Clinic
from callcenter.services import access
from callcenter.services.clinics import find_clinic, list_clinics
from callcenter.services.users import find_user


@click.group("api-key")
def api_key() -> None:
    """Bearer keys of the JSON API: create, list, revoke."""


@api_key.command("create")
@click.option("--name", required=True, help="What the key is for.")
@role_option
@clinics_option
@click.option("--user", "email", metavar="EMAIL", help="Whose key it is; needed for role receptionist.")
@json_option
def create_key(name: str, role: str, slugs: tuple[str, ...], email: str | None, json_output: bool) -> None:
    """Create a key and print it once; only its hash is kept."""
    with work() as w:
        user = find_user(w.session, email) if email is not None else None
        clinics = [find_clinic(w.session, slug, COMMAND_LINE) for slug in dict.fromkeys(slugs)]
        made = access.create_api_key(w.session, name=name, role=Role(role), clinics=clinics, user=user, now=w.now)
        w.log("api_key.created", "api_key", made.row.id)
        data = _key(w.session, made.row, list_clinics(w.session, COMMAND_LINE))
    lines = [f"Created key {made.row.id}. The key itself, shown only now:", made.secret]
    emit(data | {"key": made.secret}, json_output, lines)


@api_key.command("list")
@json_option
def list_keys(json_output: bool) -> None:
    """All keys, newest first, without the keys themselves."""
    with work() as w:
        clinics = list_clinics(w.session, COMMAND_LINE)
        items = [_key(w.session, row, clinics) for row in access.list_api_keys(w.session)]
    columns = {"id": "id", "name": "name", "role": "role", "clinics": "clinics", "revoked": "revoked_at"}
    lines = table(items, columns, nothing="There is no API key yet.")
    emit({"items": items, "next": None}, json_output, lines)


@api_key.command("revoke")
@click.argument("key_id")
@json_option
def revoke_key(key_id: str, json_output: bool) -> None:
    """Refuse a key from now on; KEY_ID is the id that list shows."""
    with work() as w:
        row = access.revoke_api_key(w.session, key_id, now=w.now)
        w.log("api_key.revoked", "api_key", row.id)
        data = _key(w.session, row, list_clinics(w.session, COMMAND_LINE))
    emit(data, json_output, [f"Revoked key {row.id} ({row.name})."])


def _key(session: Session, row: ApiKey, clinics: list[Clinic]) -> dict[str, Any]:
    """What may be shown of a key; its clinics are None when it reaches all."""
    reach = access.clinic_ids_of_key(session, row)
    return {
        "id": row.id,
        "name": row.name,
        "role": row.role.value,
        "user_id": row.user_id,
        "clinics": None if reach is None else [clinic.slug for clinic in clinics if clinic.id in reach],
        "created_at": row.created_at,
        "revoked_at": row.revoked_at,
    }
