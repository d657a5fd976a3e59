"""Environment variables and pull secrets. Secrets are only referenced, never read."""

from __future__ import annotations

from typing import Annotated

from aim_operator.api.meta import Wire
from aim_operator.api.schema import Field, Rule, at_most_bytes
from aim_operator.api.v1alpha1.common import ObjectName
from aim_operator.api.v1alpha1.resources import QUANTITY_RULES, Quantity

_NO_TEMPLATE = Rule(
    rule="!self.contains('{{')",
    message=(
        "KServe would expand '{{' as a Go template; put the value into a ConfigMap and refer to it "
        "with valueFrom.configMapKeyRef"
    ),
)
"""KServe executes the model server's container, as JSON, as a Go template: docs/adr/0007."""


class KeySelector(Wire):
    """A key of a Secret or ConfigMap in the same namespace."""

    name: Annotated[ObjectName, Field(doc="Name of the object.")]
    key: Annotated[
        str,
        Field(
            doc="Key within the object.",
            min_length=1,
            max_length=253,
            rules=(
                Rule(
                    rule="self.matches('^[-._a-zA-Z0-9]+$')",
                    message="not a key of an object; write letters, digits, '-', '_' and '.'",
                ),
            ),
        ),
    ]
    optional: Annotated[
        bool | None, Field(doc="True lets the container start without the object or key.")
    ] = None


class ObjectFieldSelector(Wire):
    """A field of the Pod that the variable is set in."""

    field_path: Annotated[
        str,
        Field(
            doc="Pod field, such as metadata.name.",
            min_length=1,
            max_length=320,
            rules=(
                Rule(
                    rule=(
                        "self.matches('^(metadata[.](name|namespace|uid|(labels|annotations)[[].+[]])"
                        "|spec[.](nodeName|serviceAccountName)|status[.](hostIPs?|podIPs?))$')"
                    ),
                    message=(
                        "Pods don't tell that; write metadata.name, metadata.namespace, metadata.uid, "
                        "metadata.labels['key'], spec.nodeName, status.podIP or the like"
                    ),
                ),
                Rule(rule="!self.contains('{{')", message="no label or annotation has '{{' in its key"),
            ),
        ),
    ]
    api_version: Annotated[
        str | None, Field(doc="Version that fieldPath is written in; v1 if unset.", enum=("v1",))
    ] = None


class ResourceFieldSelector(Wire):
    """A request or limit of the container that the variable is set in."""

    resource: Annotated[
        str,
        Field(
            doc="Resource, such as limits.cpu.",
            min_length=1,
            max_length=253,
            rules=(
                Rule(
                    rule=(
                        "self.matches('^(limits|requests)[.]"
                        "(cpu|memory|ephemeral-storage|hugepages-[1-9][0-9]*[KMG]i)$')"
                    ),
                    message="write limits.cpu, limits.memory, requests.cpu, requests.memory or the like",
                ),
            ),
        ),
    ]
    container_name: Annotated[
        str | None,
        Field(
            doc="Name of the container; this one if unset.",
            max_length=63,
            rules=(
                Rule(
                    rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
                    message="not a container's name; write lower-case letters, digits and '-'",
                ),
            ),
        ),
    ] = None
    divisor: Annotated[
        Quantity | None,
        Field(doc="Unit of the value, such as 1Mi.", int_or_string=True, max_length=64, rules=QUANTITY_RULES),
    ] = None


class EnvVarSource(Wire):
    """Where an environment variable's value comes from: exactly one of the four."""

    RULES = (
        Rule(
            rule=(
                "[has(self.secretKeyRef), has(self.configMapKeyRef), has(self.fieldRef), "
                "has(self.resourceFieldRef)].filter(x, x).size() == 1"
            ),
            message="set exactly one of secretKeyRef, configMapKeyRef, fieldRef and resourceFieldRef",
        ),
    )

    secret_key_ref: Annotated[KeySelector | None, Field(doc="A key of a Secret.")] = None
    config_map_key_ref: Annotated[KeySelector | None, Field(doc="A key of a ConfigMap.")] = None
    field_ref: Annotated[ObjectFieldSelector | None, Field(doc="A field of the Pod.")] = None
    resource_field_ref: Annotated[ResourceFieldSelector | None, Field(doc="A resource of the container.")] = (
        None
    )


class EnvVar(Wire):
    """One environment variable: a literal value, or a reference. Secrets are only referenced, never read."""

    RULES = (
        Rule(
            rule="!(has(self.value) && has(self.valueFrom))",
            message="value and valueFrom exclude each other; keep one of them",
        ),
    )

    name: Annotated[
        str,
        Field(
            doc="Variable name.",
            min_length=1,
            max_length=256,
            rules=(
                Rule(
                    rule="self.matches('^[-._a-zA-Z][-._a-zA-Z0-9]*$')",
                    message="write letters, digits, '-', '_' and '.', the first no digit, such as HF_TOKEN",
                ),
            ),
        ),
    ]
    value: Annotated[str | None, Field(doc="Literal value.", max_length=32768, rules=(_NO_TEMPLATE,))] = None
    value_from: Annotated[EnvVarSource | None, Field(doc="Reference to take the value from.")] = None


MOST_ENV_BYTES = 32 * 1024
"""Of all values of one list together, in UTF-8."""

MOST_DOWNLOAD_ENV_BYTES = 8 * 1024
"""The same of a download: each source of a template has a cache of its own, which repeats it."""


def _together(limit: int) -> Rule:
    message = (
        f"the values have more than {limit // 1024} KiB together; put long ones into a "
        "ConfigMap and refer to it with valueFrom.configMapKeyRef"
    )
    return at_most_bytes(limit, "e.value", message)


EnvVars = Annotated[
    tuple[EnvVar, ...],
    Field(max_items=128, list_type="map", list_map_keys=("name",), rules=(_together(MOST_ENV_BYTES),)),
]

OF_ONE_TEMPLATE = (
    "AIM_ID",
    "AIM_MODEL_ID",
    "AIM_PROFILE_ID",
    "AIM_ENGINE",
    "AIM_METRIC",
    "AIM_PRECISION",
    "AIM_GPU_MODEL",
    "AIM_GPU_COUNT",
    "AIM_CACHE_PATH",
    "AIM_PORT",
)
"""What says which model runs, how, and where its files are: that is never the same for all templates."""

_OF_EVERY_MODEL = Rule(
    rule=f"!(self.name in {list(OF_ONE_TEMPLATE)})",
    message="a configuration is about every model; set this in the env of a template",
    field_path=".name",
)

SECRET_VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")

_NO_SECRET_IN_CLEAR = Rule(
    rule=f"!(self.name in {list(SECRET_VARIABLES)} && has(self.value))",
    message="everyone who is logged in can read cluster-wide objects; put it into a Secret and refer to it "
    "with valueFrom.secretKeyRef",
    field_path=".value",
)

ClusterEnvVars = Annotated[EnvVars, Field(value=Field(rules=(_NO_SECRET_IN_CLEAR,)))]
"""Environment in a cluster-wide object."""

ConfigEnvVars = Annotated[
    EnvVars,
    Field(value=Field(rules=(_OF_EVERY_MODEL,))),
]
"""Environment that a configuration gives to discovery, downloads and model servers alike."""

ClusterConfigEnvVars = Annotated[
    ConfigEnvVars,
    Field(value=Field(rules=(_OF_EVERY_MODEL, _NO_SECRET_IN_CLEAR))),
]

DOWNLOAD_VARIABLES = (
    *("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_ENDPOINT", "AIM_ALLOW_PLAIN_HTTP"),
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
    *("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"),
    *("AWS_ROLE_ARN", "AWS_ROLE_SESSION_NAME", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_STS_REGIONAL_ENDPOINTS"),
    *("AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"),
    *("AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"),
    *("AWS_EC2_METADATA_DISABLED", "awsAnonymousCredential", "S3_USER_VIRTUAL_BUCKET"),
    *("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"),
    *("https_proxy", "http_proxy", "all_proxy", "no_proxy"),
    *("SSL_CERT_FILE", "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"),
    *("AIM_CONNECTIONS", "AIM_ATTEMPTS", "AIM_RETRY_SECONDS", "AIM_STALL_SECONDS"),
)
"""What the downloader reads (docs/reference/fetch.md). Others could only be code in its process (PYTHONPATH,
LD_PRELOAD, AWS_CONFIG_FILE with a credential_process), and would start a download over when they change."""

DownloadEnvVars = Annotated[
    EnvVars,
    Field(
        rules=(_together(MOST_DOWNLOAD_ENV_BYTES),),
        value=Field(
            rules=(
                Rule(
                    rule=f"self.name in {list(DOWNLOAD_VARIABLES)}",
                    message="downloads take only the variables of hubs, stores, proxies and certificates, "
                    "such as HF_TOKEN; set others in the env of a template or service",
                    field_path=".name",
                ),
            )
        ),
    ),
]
"""Environment that only downloads get."""


class LocalObjectReference(Wire):
    """A Secret in the same namespace."""

    name: Annotated[ObjectName, Field(doc="Name of the Secret.")]


PullSecrets = Annotated[
    tuple[LocalObjectReference, ...],
    Field(max_items=32, list_type="map", list_map_keys=("name",)),
]
