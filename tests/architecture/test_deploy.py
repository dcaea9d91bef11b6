"""deploy/: what can be checked of it without systemd or containers."""

import re
import shlex
from configparser import RawConfigParser
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from quorate.root import root
from tests.architecture.checkout import ROOT

SYSTEMD = ROOT / "deploy" / "systemd"
SERVICES = sorted(SYSTEMD.glob("*.service"))
EVERYWHERE = {
    "UMask": "0077",
    "LimitCORE": "0",
    "NoNewPrivileges": "yes",
    "RestrictAddressFamilies": "AF_INET AF_INET6 AF_UNIX",
    "RestrictNamespaces": "yes",
    "RestrictSUIDSGID": "yes",
    "LockPersonality": "yes",
    "MemoryDenyWriteExecute": "yes",
    "SystemCallArchitectures": "native",
}
SYSTEM_ONLY = {
    "CapabilityBoundingSet": "",
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "PrivateTmp": "yes",
    "PrivateDevices": "yes",
    "ProtectKernelModules": "yes",
    "ProtectProc": "invisible",
    "StateDirectoryMode": "0700",
}


class Many(dict[str, Any]):
    """Settings that stand more than once, as systemd allows, one after the other."""

    def __setitem__(self, key: str, value: Any) -> None:
        there = self.get(key)
        if isinstance(value, list) and isinstance(there, list):
            there.extend(value)
            return
        super().__setitem__(key, value)


def service(path: Path) -> dict[str, str]:
    parser = RawConfigParser(dict_type=Many, strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(path.read_text())
    assert set(parser.sections()) == {"Unit", "Service", "Install"}
    return dict(parser["Service"])


def known_command(words: list[str]) -> None:
    """Our own command line of these words exists, options and all."""
    context = click.Context(root)
    command: click.Command = root
    rest = list(words)
    while isinstance(command, click.Group):
        found = command.get_command(context, rest.pop(0))
        assert found is not None, words
        command = found
    options = {opt for one in command.params for opt in one.opts}
    asked = [word for word in rest if word.startswith("--")]
    assert set(asked) <= options, (words, sorted(options))


def test_there_is_a_service_for_each_process():
    assert [path.stem for path in SERVICES] == [
        "quorate-agent",
        "quorate-coordinator",
        "quorate-units",
    ]


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.stem)
def test_a_service_is_hardened_and_runs_a_command_of_ours(path: Path):
    found = service(path)
    wanted = EVERYWHERE | ({} if path.stem == "quorate-agent" else SYSTEM_ONLY)
    assert {name: found.get(name) for name in wanted} == wanted
    program, *words = shlex.split(found["ExecStart"])
    assert program == "/opt/quorate/bin/quorate"
    known_command(words)


@pytest.mark.parametrize("name", ["quorate-coordinator", "quorate-units"])
def test_a_system_service_has_a_user_and_a_directory_of_its_own(name: str):
    found = service(SYSTEMD / f"{name}.service")
    assert (found["User"], found["Group"], found["StateDirectory"]) == (name, name, name)
    assert f"/var/lib/{name}/" in found["ExecStart"]


def containerfile() -> list[str]:
    text = (ROOT / "deploy" / "container" / "Containerfile").read_text()
    joined = re.sub(r"\\\n\s*", " ", text)
    return [line for line in joined.splitlines() if line and not line.startswith("#")]


def test_the_image_is_built_from_what_is_there_with_the_pinned_versions():
    lines = containerfile()
    copied = [word for line in lines if line.startswith("COPY ") for word in line.split()[1:-1]]
    sources = [word for word in copied if not word.startswith(("--", "/"))]
    assert {"protocol", "quorate", "hsm_backend", "signer_agent", "coordinator"} <= set(sources)
    for source in sources:
        assert (ROOT / source).exists(), source
    installs = [part for line in lines for part in line.split("&&") if "pip install" in part]
    assert installs
    assert all("-c requirements.lock" in part for part in installs)


def test_the_image_runs_as_nobody_special():
    lines = containerfile()
    last = max(n for n, line in enumerate(lines) if line.startswith("FROM "))
    users = [line.split()[1] for line in lines[last:] if line.startswith("USER ")]
    assert users == ["10001:10001"]
    assert 'ENTRYPOINT ["quorate"]' in lines
    assert not [line for line in lines if re.search(r"(?i)password|secret|token", line)]


def test_composed_services_are_hardened_and_the_units_are_inside():
    composed = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())
    services = composed["services"]
    assert set(services) == {"units", "coordinator"}
    for found in services.values():
        assert found["read_only"] is True
        assert found["cap_drop"] == ["ALL"]
        assert "no-new-privileges:true" in found["security_opt"]
        assert found["ulimits"] == {"core": 0}
        assert (ROOT / "deploy" / found["build"]["context"]).resolve() == ROOT
        assert (ROOT / found["build"]["dockerfile"]).exists()
        known_command(found["command"])
    assert services["units"]["networks"] == ["inside"]
    assert "ports" not in services["units"]
    assert composed["networks"]["inside"] == {"internal": True}


def test_the_page_names_only_commands_that_exist():
    page = (ROOT / "deploy" / "README.md").read_text().replace("\\\n", " ")
    lines = [line.strip() for line in page.splitlines() if line.startswith("    ")]
    commands = [
        re.split(r"\bquorate (?=unit|coordinator|agent)", line, maxsplit=1)[1]
        for line in lines
        if re.search(r"\bquorate (unit|coordinator|agent) ", line)
    ]
    assert len(commands) >= 4
    for text in commands:
        known_command(shlex.split(text))
