"""What an image asks of a Hugging Face hub: the size of a model, and its files. Imported only when asked."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .variables import RefusedError

PUBLIC = "https://huggingface.co"
GIB = 1024**3
SECONDS = 10.0
CHUNK_BYTES = 1024 * 1024
SAMPLE_BYTES = 64 * 1024


class Hub:
    """By HF_ENDPOINT and HF_TOKEN, as the library reads them."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._endpoint = (env.get("HF_ENDPOINT", "") or PUBLIC).rstrip("/")
        self._token = env.get("HF_TOKEN", "")
        self._cannot = ""
        if env.get("HF_HUB_OFFLINE", "") in ("1", "true", "TRUE"):
            self._cannot = "HF_HUB_OFFLINE is set"

    def size_gb(self, source: str) -> float | None:
        """GiB with two digits over all files; None where the hub can't be asked."""
        if not source.startswith("hf://"):
            return None
        try:
            files = self._files(source)
        except RefusedError:
            return None
        return round(sum(files.values()) / GIB, 2)

    def fetch(self, source: str, directory: Path | None) -> int:
        """Get every file into `directory`; without one, the beginning of each, which is thrown away.

        Returns the bytes that came. Raises RefusedError.
        """
        done = 0
        for path in self._files(source):
            done += self._get(source, path, directory)
        return done

    def _files(self, source: str) -> dict[str, int]:
        repository, _, revision = source.removeprefix("hf://").partition(":")
        url = f"{self._endpoint}/api/models/{repository}/revision/{revision or 'main'}?blobs=true"
        with self._open(url, repository) as response:
            info: dict[str, Any] = json.load(response)
        return {each["rfilename"]: each.get("size") or 0 for each in info.get("siblings") or ()}

    def _get(self, source: str, path: str, directory: Path | None) -> int:
        repository, _, revision = source.removeprefix("hf://").partition(":")
        where = f"{repository}/resolve/{revision or 'main'}/{urllib.parse.quote(path)}"
        with self._open(f"{self._endpoint}/{where}", repository) as response:
            if directory is None:
                return len(response.read(SAMPLE_BYTES))
            target = directory / path
            target.parent.mkdir(parents=True, exist_ok=True)
            done = 0
            with target.open("wb") as file:
                while chunk := response.read(CHUNK_BYTES):
                    done += file.write(chunk)
            return done

    def _open(self, url: str, repository: str) -> Any:
        if self._cannot:
            raise RefusedError(f"{repository} can't be fetched: {self._cannot}")
        request = urllib.request.Request(url)  # noqa: S310 - the endpoint is the administrator's own
        if self._token:
            # Not sent on to where a redirect leads, as the library does.
            request.add_unredirected_header("Authorization", f"Bearer {self._token}")
        try:
            return urllib.request.urlopen(request, timeout=SECONDS)  # noqa: S310
        except urllib.error.HTTPError as error:
            hint = "; is HF_TOKEN set to a token that may read it?" if error.code in (401, 403) else ""
            message = f"{repository} is refused by {self._endpoint}: HTTP {error.code}{hint}"
            raise RefusedError(message) from error
        except (OSError, ValueError) as error:
            raise RefusedError(f"{self._endpoint} can't be reached for {repository}: {error}") from error
