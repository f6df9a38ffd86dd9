"""Models on the Hugging Face hub: the same two files as in a run folder, and a card."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tacit.errors import DataError, UsageError
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
    if name.count("/") != 1:
        raise UsageError(f"'{name}' is no name of a repository; write owner/name.")
    from huggingface_hub import HfApi

    api = HfApi()
    with tempfile.TemporaryDirectory() as folder:
        save_model(model, Path(folder), **extra)
        write_text(Path(folder) / "README.md", card(read_config(Path(folder)), name))
        api.create_repo(name, private=private, exist_ok=True)
        api.upload_folder(repo_id=name, folder_path=folder, commit_message="Add the model")
    return f"https://huggingface.co/{name}"


def card(config: dict[str, Any], name: str) -> str:
    """Describe a model for those who find it: what it tells apart, and where it comes from."""
    model = config["model"]
    weights = model["weights"]
    classes = ", ".join(f"`{label}`" for label in model["classes"])
    return f"""---
library_name: tacit
pipeline_tag: image-classification
tags: [multi-label, image-classification]
---

# {name.split("/")[-1]}

Tells which of {len(model["classes"])} classes are in an image; any number of them may be.

- **Model:** `{model["name"]}` on `{model["trunk"]}`, images of {model["size"]} pixels
- **Trunk's first weights:** {weights["source"]}; licence: {weights.get("licence", "none needed")}
- **Classes:** {classes}

```python
import tacit

model = tacit.from_pretrained("{name}")
print(model.predict("image.jpg").labels)
```
"""
