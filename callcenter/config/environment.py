"""Reading the settings of a process: environment, secret files, twilio_config.yaml, and defaults of development."""

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from callcenter.config.rules import missing_in_production, problems_of_values, unsafe_in_production
from callcenter.config.settings import (
    SIMULATOR_ACCOUNT_SID,
    SIMULATOR_API_KEY_SECRET,
    SIMULATOR_API_KEY_SID,
    SIMULATOR_AUTH_TOKEN,
    VARIABLES,
    Settings,
    VoiceSettings,
)
from callcenter.errors import ConfigurationError


def load(environ: Mapping[str, str], *, directory: Path | None = None) -> Settings:
    """Settings from ``environ`` and the file it names; ``directory`` is where relative paths start (default: cwd).

    Raises ConfigurationError with every problem found. In development missing secrets are generated or those of
    the simulator; production refuses what is not safe, by name.
    """
    root = directory or Path.cwd()
    problems = _unknown_names(environ)
    values = _from_environment(environ, problems)
    voice = _voice(root / environ.get("CALLCENTER_CONFIG", "twilio_config.yaml"), environ, problems)
    production = values.get("environment") == "production"
    values["voice"] = voice
    if production:
        problems += missing_in_production(values)
    given = set(values)
    _fill_defaults(values, root, voice)
    settings, wrong = _validated(values, root, voice)
    problems += wrong
    rules = [*problems_of_values(settings), *(unsafe_in_production(settings) if production else [])]
    # What was left out or could not be read has been named already; the default in its place is not the reader's doing.
    bad = {VARIABLES.get(problem.split(":")[0], "") for problem in wrong}
    missing = set(VARIABLES.values()) - given if production else set()
    problems += [rule for rule in rules if VARIABLES.get(rule.partition(" ")[0]) not in bad | missing]
    if problems:
        raise ConfigurationError(problems)
    if "secret_key" not in given:
        return settings.model_copy(update={"secret_key": _development_secret(settings.state_dir)})
    return settings


def _validated(values: dict[str, Any], root: Path, voice: VoiceSettings) -> tuple[Settings, list[str]]:
    """The settings, with defaults in place of values that cannot be used, and what is wrong with those."""
    try:
        return Settings.model_validate(values), []
    except ValidationError as error:
        details = error.errors(include_input=False)
    sound = {name: value for name, value in values.items() if name not in {e["loc"][0] for e in details if e["loc"]}}
    _fill_defaults(sound, root, voice)
    return Settings.model_validate(sound), [_plain(e) for e in details]


def _plain(error: Any) -> str:
    field = str(error["loc"][0]) if error["loc"] else "settings"
    name = next((variable for variable, setting in VARIABLES.items() if setting == field), field)
    rest = ".".join(str(part) for part in error["loc"][1:])
    return f"{name}{'.' + rest if rest else ''}: {error['msg']}"


def _unknown_names(environ: Mapping[str, str]) -> list[str]:
    known = {"CALLCENTER_CONFIG", *VARIABLES, *(f"{name}_FILE" for name in VARIABLES)}
    return [
        f"{name} is not a setting of this service; see docs/configuration.md"
        for name in sorted(environ)
        if name.startswith("CALLCENTER_") and name not in known
    ]


def _from_environment(environ: Mapping[str, str], problems: list[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if environ.get("CALLCENTER_ENV") == "":
        # A deployment that lost the value must not come up as a development machine.
        problems.append("CALLCENTER_ENV is empty; set it to development or production, or leave it out")
    for name, setting in VARIABLES.items():
        if environ.get(name):
            values.setdefault(setting, environ[name])
        elif environ.get(f"{name}_FILE"):
            try:
                values.setdefault(setting, Path(environ[f"{name}_FILE"]).read_text(encoding="utf-8").strip())
            except OSError as error:
                problems.append(f"{name}_FILE cannot be read ({error.strerror})")
    return values


def _voice(path: Path, environ: Mapping[str, str], problems: list[str]) -> VoiceSettings:
    if not path.exists():
        if "CALLCENTER_CONFIG" in environ:
            problems.append(f"CALLCENTER_CONFIG names {path.name}, which does not exist")
        return VoiceSettings()
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        return VoiceSettings.model_validate(content)
    except (OSError, yaml.YAMLError):
        problems.append(f"{path.name} cannot be read as YAML")
    except ValidationError as error:
        for e in error.errors(include_input=False):
            problems.append(f"{path.name}: {'.'.join(str(p) for p in e['loc']) or 'content'}: {e['msg']}")
    return VoiceSettings()


def _fill_defaults(values: dict[str, Any], root: Path, voice: VoiceSettings) -> None:
    state = values.setdefault("state_dir", root / "var")
    port = values.get("port", "8000")
    values.setdefault("public_base_url", f"http://127.0.0.1:{port}")
    values.setdefault("web_base_url", values["public_base_url"])
    values["public_base_url"] = values["public_base_url"].rstrip("/")
    values["web_base_url"] = values["web_base_url"].rstrip("/")
    values.setdefault("database_url", f"sqlite:///{Path(state) / 'callcenter.db'}")
    values.setdefault("recordings_url", f"file://{Path(state).absolute() / 'recordings'}")
    values.setdefault("twilio_account_sid", SIMULATOR_ACCOUNT_SID)
    values.setdefault("twilio_auth_token", SIMULATOR_AUTH_TOKEN)
    if values["twilio_account_sid"] == SIMULATOR_ACCOUNT_SID and values.get("environment") != "production":
        # The simulator's account exists only there; nobody else is to be asked with its credentials.
        values.setdefault("twilio_api_base_url", f"http://127.0.0.1:{values.get('simulator_port', '8001')}")
    values.setdefault("twilio_rest_key_sid", values["twilio_account_sid"])
    values.setdefault("twilio_rest_key_secret", values["twilio_auth_token"])
    values.setdefault("twilio_api_key_sid", SIMULATOR_API_KEY_SID)
    values.setdefault("twilio_api_key_secret", SIMULATOR_API_KEY_SECRET)
    values.setdefault("twilio_region", voice.region)
    values.setdefault("twilio_edge", voice.edge)
    values.setdefault("secret_key", "generated when everything else is well")


def _development_secret(state: Path) -> str:
    """The generated key of this installation, kept in the state directory so that it survives a restart."""
    path = state / "secret-key"
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(secrets.token_urlsafe(32))
    except FileExistsError:
        pass
    return path.read_text(encoding="utf-8").strip()
