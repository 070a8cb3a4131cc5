"""Each command is found where the list of commands says."""

from __future__ import annotations

from bemtevi.cli.app import COMMANDS, app, load_commands


def test_every_command_is_in_the_module_that_the_list_names() -> None:
    load_commands([])
    found = {
        told.name or told.callback.__name__: told.callback.__module__
        for told in app.registered_commands
        if told.callback is not None
    }
    for group in app.registered_groups:
        assert group.name is not None
        assert group.typer_instance is not None
        modules = {
            told.callback.__module__ for told in group.typer_instance.registered_commands if told.callback
        }
        (found[group.name],) = modules
    assert found == {name: f"bemtevi.cli.{module}" for name, module in COMMANDS.items()}
