"""A flag over the environment over the file over the default."""

from pathlib import Path

import click
import pytest

from quorate.commands import Command
from quorate.exits import Exit, Trouble
from quorate.settings import Setting, config_option, load, render

LISTEN = "listen = 'file:1'\n"


def _serve(
    arguments: list[str], environment: dict[str, str], default: Path | None = None
) -> dict[str, object]:
    seen: dict[str, object] = {}

    @click.command(cls=Command)
    @config_option((lambda: default) if default else None)
    @click.option("--listen", default="default:1")
    @click.option("--state-dir", type=click.Path(path_type=Path))
    @click.option("--name", multiple=True)
    @click.option("--verify/--no-verify", default=False)
    def serve(**values: object) -> None:
        seen.update(values)

    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        serve.main(
            arguments, prog_name="serve", standalone_mode=False, auto_envvar_prefix="QUORATE_SERVE"
        )
    return seen


def test_each_source_overrides_the_one_below(tmp_path: Path):
    file = tmp_path / "unit.toml"
    file.write_text(LISTEN)
    config = ["--config", str(file)]
    environment = {"QUORATE_SERVE_LISTEN": "environment:1"}
    assert _serve([], {})["listen"] == "default:1"
    assert _serve(config, {})["listen"] == "file:1"
    assert _serve(config, environment)["listen"] == "environment:1"
    assert _serve([*config, "--listen", "flag:1"], environment)["listen"] == "flag:1"


def test_the_file_may_be_named_by_the_environment_or_lie_where_it_is_looked_for(tmp_path: Path):
    file = tmp_path / "unit.toml"
    file.write_text(LISTEN)
    assert _serve([], {"QUORATE_SERVE_CONFIG": str(file)})["listen"] == "file:1"
    assert _serve([], {}, default=file)["listen"] == "file:1"
    assert _serve([], {}, default=tmp_path / "none.toml")["listen"] == "default:1"


def test_every_kind_of_value_is_rendered_and_read_back(tmp_path: Path):
    file = tmp_path / "unit.toml"
    name = 'é"\\\n\x7f#'
    file.write_text(
        render(
            (
                Setting("listen", name, "where it\nlistens"),
                Setting("state-dir", "/var/lib/x"),
                Setting("name", ("a", "b")),
                Setting("verify", True),
            ),
            heading="Settings of a unit host.",
        )
    )
    assert file.read_text().startswith("# Settings of a unit host.\n\n# where it\n# listens\nlis")
    assert _serve(["--config", str(file)], {}) == {
        "listen": name,
        "state_dir": Path("/var/lib/x"),
        "name": ("a", "b"),
        "verify": True,
    }
    assert render((Setting("port", 7443),), heading="x").endswith("port = 7443\n")


@pytest.mark.parametrize(
    ("text", "what", "found"),
    [
        ("listn = 'x'\n", "doesn't know", "listn"),
        ("state_dir = 'x'\n", "doesn't know", "state_dir"),
        ("config = 'x'\n", "doesn't know", "config"),
        ("listen = \n", "can't be used", None),
    ],
)
def test_a_file_that_is_not_understood_is_usage_trouble(
    tmp_path: Path, text: str, what: str, found: str | None
):
    file = tmp_path / "unit.toml"
    file.write_text(text)
    with pytest.raises(Trouble) as caught:
        _serve(["--config", str(file)], {})
    assert caught.value.exit is Exit.USAGE
    assert what in caught.value.what and str(file) in caught.value.what
    assert caught.value.found == found


def test_a_named_file_must_be_there(tmp_path: Path):
    with pytest.raises(Trouble, match="can't be used: No such file"):
        load(tmp_path / "none", click.Command("x"))
