"""Models on the Hugging Face hub: the same two files as in a run folder, and a card."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tacit.errors import DataError, UsageError
from tacit.export.card import card
from tacit.files import write_text
from tacit.models.artefact import FILES, load_model, read_config, save_model

if TYPE_CHECKING:
    from tacit.models.base import Model


def from_pretrained(name: str | Path, *, revision: str | None = None) -> Model:
    """Load a model from a folder, or else from the hub by a name such as ``someone/birds``.

    Args:
        name: A folder that `save_model` wrote, or the name of a repository.
        revision: A branch, tag or commit of the repository; its main branch if None.
    """
    return load_model(find_pretrained(name, revision))


def find_pretrained(name: str | Path, revision: str | None = None) -> Path:
    """Return the folder of a model, which is downloaded where the name is none of a folder."""
    if Path(name).is_dir():
        return Path(name)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError

    try:
        folder = snapshot_download(str(name), revision=revision, allow_patterns=list(FILES))
    except (HFValidationError, RepositoryNotFoundError, OSError) as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise DataError(
            f"'{name}' is neither a folder nor a model on the hub that can be read: {reason}"
        ) from error
    return Path(folder)


def push_to_hub(model: Model, name: str, *, private: bool = False, **extra: Any) -> str:
    """Put a model on the hub, with a card, and return the address.

    Args:
        model: What to publish. Mind the licence of the weights it began with.
        name: The repository, such as ``someone/birds``; it is made if there is none.
        private: Let nobody else see a repository that is made.
        extra: Further fields of the configuration, such as thresholds.
    """
    with tempfile.TemporaryDirectory() as folder:
        save_model(model, Path(folder), **extra)
        write_text(Path(folder) / "README.md", card(read_config(Path(folder)), name))
        return push_folder(Path(folder), name, private=private)


def push_folder(folder: Path, name: str, *, private: bool = False) -> str:
    """Put a folder on the hub as it is, and return the address.

    Args:
        folder: With a saved model, and its card as README.md.
        name: The repository, such as ``someone/birds``; it is made if there is none.
        private: Let nobody else see a repository that is made.
    """
    check_repository(name)
    from huggingface_hub import HfApi

    api = HfApi()
    api.create_repo(name, private=private, exist_ok=True)
    api.upload_folder(repo_id=name, folder_path=str(folder), commit_message="Add the model")
    return f"https://huggingface.co/{name}"


def check_repository(name: str) -> None:
    """Refuse what is no name of a repository."""
    if name.count("/") != 1 or not all(name.split("/")):
        raise UsageError(f"'{name}' is no name of a repository; write owner/name.")
