"""Volumes of model servers: ConfigMaps, Secrets and claims of the Pod's namespace, and nothing of a node.

The fields are those of a Pod's volume and its mount, which are one here. There is no hostPath and no
projected volume: a service account's token is mounted by naming the account.
"""

from __future__ import annotations

from typing import Annotated

from aim_operator.api.meta import Wire
from aim_operator.api.schema import Field, Rule
from aim_operator.api.v1alpha1.common import ObjectName

_RESERVED = (
    "(/|/dev|/proc|/sys|/etc|/usr|/bin|/sbin|/lib|/lib64|/mnt/models|/workspace|"
    "(/dev|/proc|/sys|/mnt/models|/workspace/model-cache|/var/run/secrets/kubernetes[.]io|"
    "/run/secrets/kubernetes[.]io)(/.*)?)"
)
"""What the node, KServe or the operator mount themselves, or what the image can't do without."""

_NO_TEMPLATE = Rule(
    rule="!self.contains('{{')", message="KServe would expand '{{' as a Go template; name it otherwise"
)
_INSIDE = Rule(
    rule="!self.startsWith('/') && !self.matches('(^|/)[.][.](/|$)')",
    message="write a relative path without '..', such as certs/ca.crt",
)


class ConfigMapVolume(Wire):
    """Keys of a ConfigMap, as files."""

    name: Annotated[ObjectName, Field(doc="Name of the ConfigMap.")]
    optional: Annotated[bool | None, Field(doc="True lets the Pod start without the object.")] = None


class SecretVolume(Wire):
    """Keys of a Secret, as files. The operator itself never reads it."""

    secret_name: Annotated[ObjectName, Field(doc="Name of the Secret.")]
    optional: Annotated[bool | None, Field(doc="True lets the Pod start without the object.")] = None


class ClaimVolume(Wire):
    """A volume that a claim is bound to."""

    claim_name: Annotated[ObjectName, Field(doc="Name of the PersistentVolumeClaim.")]


class Volume(Wire):
    """A volume, and where it is mounted: exactly one of configMap, secret and persistentVolumeClaim."""

    RULES = (
        Rule(
            rule="[has(self.configMap), has(self.secret), has(self.persistentVolumeClaim)]"
            ".filter(x, x).size() == 1",
            message="set exactly one of configMap, secret and persistentVolumeClaim",
        ),
    )

    name: Annotated[
        str,
        Field(
            doc="Name of the volume.",
            min_length=1,
            max_length=53,
            rules=(
                Rule(
                    rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
                    message="not a volume's name; write lower-case letters, digits and '-'",
                ),
            ),
        ),
    ]
    mount_path: Annotated[
        str,
        Field(
            doc="Directory of the container that the volume is mounted at.",
            min_length=2,
            max_length=253,
            rules=(
                Rule(
                    rule="self.matches('^(/[-A-Za-z0-9._+@ ]+)+$') && !self.matches('/[.][.]?(/|$)')",
                    message="write an absolute path of letters, digits, '-', '.', '_', '+', '@', without "
                    "'..' and without a slash at its end, such as /etc/ssl/company",
                ),
                Rule(
                    rule=f"!self.matches('^{_RESERVED}$')",
                    message="the image, the node, KServe or the operator has its files there; choose another "
                    "directory, such as /config. For files of a model, make an AIMModelCache",
                ),
            ),
        ),
    ]
    sub_path: Annotated[
        str | None,
        Field(
            doc="Path in the volume to mount instead of its root, such as a single key.",
            min_length=1,
            max_length=253,
            rules=(_INSIDE, _NO_TEMPLATE),
        ),
    ] = None
    read_only: Annotated[
        bool | None, Field(doc="Whether a claim is mounted read-only; false if unset. The others always are.")
    ] = None
    config_map: Annotated[ConfigMapVolume | None, Field(doc="Keys of a ConfigMap, as files.")] = None
    secret: Annotated[SecretVolume | None, Field(doc="Keys of a Secret, as files.")] = None
    persistent_volume_claim: Annotated[ClaimVolume | None, Field(doc="A claim's volume.")] = None


Volumes = Annotated[
    tuple[Volume, ...],
    Field(
        max_items=16,
        list_type="map",
        list_map_keys=("name",),
        rules=(
            Rule(
                rule="self.all(v, self.exists_one(w, w.mountPath == v.mountPath))",
                message="two volumes can't be mounted at one path; choose another mountPath",
            ),
        ),
    ),
]
