"""What a template and a service say about the profile and the model that an image runs."""

from __future__ import annotations

from typing import Annotated, Any

from aim_operator.api.meta import Wire
from aim_operator.api.schema import Field, Rule
from aim_operator.api.v1alpha1.caches import HF_SOURCE, MOST_SOURCES, S3_SOURCE, SOURCE_RULES
from aim_operator.api.v1alpha1.resources import QUANTITY_RULES, Quantity

_NAME = "[A-Za-z0-9._-]+"
_NO_DOTS = Rule(
    rule="!self.matches('(^|[/:])[.]{1,2}([/:]|$)')",
    message="'.' and '..' are no names; write the path without them",
)

ProfileId = Annotated[
    str,
    Field(
        min_length=1,
        max_length=253,
        rules=(
            Rule(
                rule=f"self.matches('^{_NAME}$')",
                message="write the name of a profile without .yaml, such as vllm-mi300x-fp8-tp1-latency",
            ),
            Rule(
                rule="!self.matches('[.]ya?ml$')",
                message="write the name of the profile's file without .yaml",
            ),
        ),
    ),
]

ModelId = Annotated[
    str,
    Field(
        min_length=1,
        max_length=1024,
        rules=(
            Rule(
                rule=(
                    f"self.matches('^{_NAME}/{_NAME}$') || self.matches('{HF_SOURCE}') || "
                    f"self.matches('{S3_SOURCE}')"
                ),
                message="write owner/model, hf://owner/model or s3://bucket/prefix",
            ),
            _NO_DOTS,
        ),
    ),
]

EngineArgs = Annotated[
    dict[str, Any],
    Field(
        doc="Arguments of the engine, such as max-model-len: 32768, laid over those of the profile. Objects "
        "are merged, anything else is replaced. At most 16 KiB as JSON, 8 levels deep, without '{{'.",
        preserve_unknown_fields=True,
        max_properties=256,
    ),
]
"""Free-form: no CEL rule can look into it. core.engine_args has the other bounds."""


class GivenModelSource(Wire):
    """A model artifact, as an image would print it."""

    name: Annotated[
        str,
        Field(
            doc="Name of the model: the folder below AIM_CACHE_PATH where the server looks for its files.",
            min_length=1,
            max_length=253,
            rules=(
                Rule(
                    rule=f"self.matches('^{_NAME}(/{_NAME})*$')",
                    message="write owner/model; letters, digits, '.', '_' and '-', with '/' between",
                ),
                _NO_DOTS,
            ),
        ),
    ]
    source_uri: Annotated[
        str,
        Field(
            doc="Where its files are: hf://owner/model[:revision] or s3://bucket/prefix.",
            min_length=1,
            max_length=1024,
            rules=SOURCE_RULES,
        ),
    ]
    size: Annotated[
        Quantity | None,
        Field(
            doc="Size of its files, such as 16Gi.",
            int_or_string=True,
            max_length=64,
            rules=QUANTITY_RULES,
        ),
    ] = None


GivenModelSources = Annotated[
    tuple[GivenModelSource, ...],
    Field(min_items=1, max_items=MOST_SOURCES, list_type="map", list_map_keys=("name",)),
]
