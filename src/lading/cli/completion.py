"""`lading completion`: what a shell needs to complete our commands."""

from typing import Literal

from lading.cli import app


def completion(shell: Literal["bash", "zsh", "fish"]) -> None:
    """Print a completion script for a shell.

    bash: ``lading completion bash > ~/.local/share/bash-completion/completions/lading``
    zsh: ``lading completion zsh > "${fpath[1]}/_lading"``
    fish: ``lading completion fish > ~/.config/fish/completions/lading.fish``

    Args:
        shell: The shell to complete in.
    """
    print(app.build().generate_completion(prog_name="lading", shell=shell))
