"""etcd's own API, as etcdctl uses it: to fill an etcd until it takes nothing more, and to make room again."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from typing import Any


class Etcd:
    """One server, by its gateway for JSON."""

    def __init__(self, url: str) -> None:
        self._url = url

    def call(self, call: str, **body: Any) -> Any:
        """Call etcd's own API, as etcdctl does. Raises HTTPError."""
        request = urllib.request.Request(
            f"{self._url}/v3/{call}", data=json.dumps(body).encode(), method="POST"
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=30) as answer:
            return json.load(answer)

    def fill(self) -> None:
        """Write until etcd takes nothing any more."""
        value = base64.b64encode(b"x" * 1_000_000).decode()
        number = 0
        while True:
            number += 1
            key = base64.b64encode(f"junk/{number}".encode()).decode()
            try:
                self.call("kv/put", key=key, value=value)
            except urllib.error.HTTPError as error:
                if b"space exceeded" not in error.read():
                    raise
                return

    def make_room(self) -> None:
        """Do what etcd's documentation says: delete, compact, defragment, disarm."""
        first, last = (base64.b64encode(key).decode() for key in (b"junk/", b"junk0"))
        revision = self.call("kv/deleterange", key=first, range_end=last)["header"]["revision"]
        self.call("kv/compaction", revision=revision, physical=True)
        self.call("maintenance/defragment")
        for alarm in self.call("maintenance/alarm", action="GET").get("alarms", []):
            self.call("maintenance/alarm", **(alarm | {"action": "DEACTIVATE"}))

    def size(self) -> int:
        """Bytes of its file."""
        return int(self.call("maintenance/status")["dbSize"])
