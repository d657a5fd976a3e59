"""Which files of a source are wanted: patterns of specs, in one form for names, hashes and comparisons."""

from __future__ import annotations

from msgspec import Struct

from aim_operator.api.v1alpha1 import (
    AIMModelCacheSpec,
    AIMServiceTemplateSpec,
    AIMTemplateCacheSpec,
    Caching,
)
from aim_operator.core.catalog import Template


class FilePatterns(Struct, frozen=True, kw_only=True):
    """Sorted and without repetition: equal where they choose the same files of any source."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    @property
    def arguments(self) -> list[str]:
        """Return the arguments of `aimctl fetch`; none for the default."""
        return [
            *(f"--include={pattern}" for pattern in self.include),
            *(f"--exclude={pattern}" for pattern in self.exclude),
        ]

    def as_spec(self) -> dict[str, list[str]]:
        """Return the fields of a spec that mean these; none for the default."""
        both = {"include": list(self.include), "exclude": list(self.exclude)}
        return {field: patterns for field, patterns in both.items() if patterns}


DEFAULT = FilePatterns()


def of_model_cache(spec: AIMModelCacheSpec) -> FilePatterns:
    return _patterns(spec.include, spec.exclude)


def of_template_cache(spec: AIMTemplateCacheSpec, template: Template | None) -> FilePatterns:
    """Return what a template cache asks for: each list its own, else that of its template."""
    caching = Caching()
    if template is not None and isinstance(template.spec, AIMServiceTemplateSpec):
        caching = caching if template.spec.caching is None else template.spec.caching
    return _patterns(
        caching.include if spec.include is None else spec.include,
        caching.exclude if spec.exclude is None else spec.exclude,
    )


def _patterns(include: tuple[str, ...] | None, exclude: tuple[str, ...] | None) -> FilePatterns:
    return FilePatterns(include=_normal(include), exclude=_normal(exclude))


def _normal(patterns: tuple[str, ...] | None) -> tuple[str, ...]:
    return tuple(sorted(set(patterns or ())))
