"""deploy/: what can be checked of it without systemd or containers."""

import re
import shlex
import shutil
import socket
import subprocess
import sys
import threading
from configparser import RawConfigParser
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from quorate import tls
from quorate.root import root
from tests.architecture.checkout import ROOT
from tests.cast.commands import NOON

SYSTEMD = ROOT / "deploy" / "systemd"
SERVICES = sorted(SYSTEMD.glob("*.service"))
EVERYWHERE = {
    "UMask": "0077",
    "LimitCORE": "0",
    "NoNewPrivileges": "yes",
    "ProtectSystem": "strict",
    "PrivateTmp": "yes",
    "PrivateDevices": "yes",
    "PrivateUsers": "yes",
    "ProtectClock": "yes",
    "ProtectHostname": "yes",
    "ProtectControlGroups": "yes",
    "ProtectKernelLogs": "yes",
    "ProtectKernelModules": "yes",
    "ProtectKernelTunables": "yes",
    "KeyringMode": "private",
    "RestrictAddressFamilies": "AF_INET AF_INET6 AF_UNIX",
    "RestrictNamespaces": "yes",
    "RestrictRealtime": "yes",
    "RestrictSUIDSGID": "yes",
    "LockPersonality": "yes",
    "MemoryDenyWriteExecute": "yes",
    "SystemCallArchitectures": "native",
    "SystemCallFilter": "@system-service\n~@privileged @resources",
    "SystemCallErrorNumber": "EPERM",
    "Restart": "on-failure",
}
AGENT_ONLY = {
    "ProtectHome": "read-only",
    "ReadWritePaths": "%h/.local/state/quorate",
}
SYSTEM_ONLY = {
    "CapabilityBoundingSet": "",
    "AmbientCapabilities": "",
    "DevicePolicy": "closed",
    "ProtectHome": "yes",
    "ProtectProc": "invisible",
    "ProcSubset": "pid",
    "RemoveIPC": "yes",
    "StateDirectoryMode": "0700",
}
EXPOSED_AT_MOST = {"quorate-agent": 40, "quorate-coordinator": 15, "quorate-units": 15}
"""By `systemd-analyze security`, in tenths: 0 is best, 100 worst."""


class Many(dict[str, Any]):
    """Settings that stand more than once, as systemd allows, one after the other."""

    def __setitem__(self, key: str, value: Any) -> None:
        there = self.get(key)
        if isinstance(value, list) and isinstance(there, list):
            there.extend(value)
            return
        super().__setitem__(key, value)


def parsed(path: Path) -> RawConfigParser:
    parser = RawConfigParser(dict_type=Many, strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(path.read_text())
    return parser


def service(path: Path) -> dict[str, str]:
    found = parsed(path)
    assert set(found.sections()) == {"Unit", "Service", "Install"}
    return dict(found["Service"])


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
    wanted = EVERYWHERE | (AGENT_ONLY if path.stem == "quorate-agent" else SYSTEM_ONLY)
    assert {name: found.get(name) for name in wanted} == wanted
    program, *words = shlex.split(found["ExecStart"])
    assert program == "/opt/quorate/bin/quorate"
    known_command(words)


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.stem)
def test_systemd_finds_nothing_wrong(path: Path):
    found = systemd_analyze("verify", "--man=no", path)
    # The command is where it is installed, not here.
    wrong = [line for line in found.stderr.splitlines() if "is not executable" not in line]
    assert not wrong


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.stem)
def test_systemd_finds_little_exposed(path: Path):
    allowed = EXPOSED_AT_MOST[path.stem]
    found = systemd_analyze("security", "--offline=true", f"--threshold={allowed}", path)
    assert found.returncode == 0, found.stdout.splitlines()[-1:]


def systemd_analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze here; what is expected of it is listed above")
    command = ["systemd-analyze", *map(str, arguments)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    if "unrecognized option" in found.stderr or "Failed to" in found.stderr:
        pytest.skip(f"this systemd-analyze can't: {found.stderr.strip()}")
    return found


UNDER_IT = """
import ctypes, os, sys
if ctypes.CDLL(None).prctl({number}, 1, 0, 0, 0):
    sys.exit({unknown})
os.execv(sys.executable, [sys.executable, "-m", "quorate", *sys.argv[1:]])
"""
PR_SET_MDWE = 65


def test_python_bears_the_denial_of_memory_both_writable_and_executable(tmp_path: Path):
    text = UNDER_IT.format(number=PR_SET_MDWE, unknown=77)
    make = [
        "unit",
        "init",
        str(tmp_path / "units"),
        "--unit",
        "recovery:[eu-de].[AZ1-CS1].[00].[03]",
    ]
    done = subprocess.run([sys.executable, "-c", text, *make], capture_output=True, check=False)
    if done.returncode == 77:
        pytest.skip("this kernel has no PR_SET_MDWE (Linux 6.3)")
    assert done.returncode == 0, done.stderr


def test_a_scripted_agent_gets_its_passwords_as_a_credential():
    path = SYSTEMD / "quorate-agent.service.d" / "scripted.conf"
    found = dict(parsed(path)["Service"])
    name, _, source = found["LoadCredential"].partition(":")
    assert source.startswith("%h/")
    reset, command = found["ExecStart"].split("\n")
    assert not reset
    program, *words = shlex.split(command)
    assert program == "/opt/quorate/bin/quorate"
    known_command(words)
    assert words[words.index("--password-credential") + 1] == name


def test_users_are_made_for_the_servers():
    lines = (SYSTEMD / "sysusers.conf").read_text().splitlines()
    users = [line.split()[1] for line in lines if line.startswith("u ")]
    assert users == ["quorate-units", "quorate-coordinator"]


def test_no_service_gets_a_secret_by_argument_or_environment():
    for path in (*SERVICES, *SYSTEMD.rglob("*.conf")):
        settings = [li for li in path.read_text().splitlines() if li and not li.startswith("#")]
        assert not [line for line in settings if line.startswith(("Environment", "PassEnv"))]
        assert not [line for line in settings if re.search(r"--(password|token)(=| )", line)]


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
    assert "deploy/container/healthy.py" in sources
    steps = [part.strip() for line in lines for part in line.split("&&")]
    installs = [step for step in steps if re.search(r"\bpip\b.* install\b", step)]
    assert len(installs) == 2
    assert all("-c requirements.lock" in step for step in installs)
    assert [step for step in steps if " wheel " in step and "--no-deps" in step]


def test_the_builder_is_given_what_is_copied_and_nothing_else():
    text = (ROOT / "deploy" / "container" / "Containerfile.dockerignore").read_text()
    rules = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert rules[0] == "*"
    let_in = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}
    copied = {
        word.removeprefix("./")
        for line in containerfile()
        if line.startswith("COPY ")
        for word in line.split()[1:-1]
        if not word.startswith(("--", "/"))
    }
    assert let_in == copied


def test_the_copied_files_are_all_that_a_wheel_needs(tmp_path: Path):
    for line in containerfile():
        if line.startswith("COPY ") and "--from" not in line and "deploy/" not in line:
            for source in line.split()[1:-1]:
                copy = shutil.copytree if (ROOT / source).is_dir() else shutil.copy
                copy(ROOT / source, tmp_path / source)
    wheels = tmp_path / "wheels"
    pip = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "-w", str(wheels), str(tmp_path)], check=True)
    assert [path.suffix for path in wheels.iterdir()] == [".whl"]


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
        healthy = found["healthcheck"]["test"]
        assert healthy[:3] == ["CMD", "/opt/quorate/bin/python", "/opt/quorate/healthy.py"]
        assert healthy[3] == found["command"][2], "it looks at the directory that is served"
        assert found["volumes"][0].endswith(":/data")
    assert services["coordinator"]["depends_on"] == {"units": {"condition": "service_healthy"}}
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


def healthy(directory: Path) -> int:
    script = ROOT / "deploy" / "container" / "healthy.py"
    command = [sys.executable, str(script), str(directory)]
    return subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode


def test_a_server_that_answers_is_healthy(tmp_path: Path):
    tls.write_certificate(tmp_path / "tls.pem", tmp_path / "tls.key", ["localhost"], at=NOON)
    context = tls.server_context(tmp_path / "tls.pem", tmp_path / "tls.key")
    with socket.create_server(("127.0.0.1", 0)) as server:
        (tmp_path / "address").write_text(f"0.0.0.0:{server.getsockname()[1]}\n")

        def answer() -> None:
            connection, _ = server.accept()
            with connection, context.wrap_socket(connection, server_side=True):
                pass

        answering = threading.Thread(target=answer)
        answering.start()
        assert healthy(tmp_path) == 0
        answering.join()


def test_a_server_that_is_gone_is_not_healthy(tmp_path: Path):
    assert healthy(tmp_path) == 1
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    (tmp_path / "address").write_text(f"127.0.0.1:{port}\n")
    assert healthy(tmp_path) == 1
