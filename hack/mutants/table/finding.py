"""Faults of who is found by what: index keys, and the lookups that tell who depends on an object."""

from __future__ import annotations

from hack.mutants.mutant import Mutant, faults

_WAKES = ("tests/unit/controllers/test_wakes.py",)
_STORIES = (
    *_WAKES,
    "tests/simulation/test_stories.py",
    "tests/simulation/test_caches.py",
    "tests/simulation/test_budget.py",
    "tests/simulation/explore",
)

INDEXES: tuple[Mutant, ...] = faults(
    "Index keys",
    "controllers/watched.py",
    _STORIES,
    (
        "a service is not found by the template that it runs on",
        "names.add(service.status.resolved_template.name)",
        "pass",
    ),
    (
        "a template cache is not found by a source that it lacks",
        "yield cache.metadata.namespace, listed.source_uri",
        "pass",
    ),
    (
        "a template cache is not found among those that lack a source",
        "yield cache.metadata.namespace, ANY_SOURCE",
        "pass",
    ),
    (
        "a service with a configuration of its own is not found by the default one",
        "if _named(service):\n        yield OWN_CONFIG",
        "pass",
    ),
    (
        "a derived template is found as an equal one, and used for another service without being derived",
        "if not is_derived(template):\n        yield template.metadata.namespace, meaning",
        "if template:\n        yield template.metadata.namespace, meaning",
    ),
    (
        "a cache that waits for its namespace's budget is not found by the cluster's",
        'yield cache.metadata.namespace\n        yield ""',
        "yield cache.metadata.namespace",
    ),
    (
        "a cache that waits for its namespace's budget is not found by its namespace",
        'yield cache.metadata.namespace\n        yield ""',
        'yield ""',
    ),
    (
        "a claim that waits for a default storage class is not found",
        'if claim.status.phase == "Pending":',
        'if claim.status.phase == "":',
    ),
    (
        "a claim that another cache owns passes for one that came back from a backup",
        "if of is not None and metadata.controller() is None and",
        "if of is not None and",
    ),
    (
        "a claim that a user made and labelled passes for one that came back from a backup",
        "and metadata.controller() is None and metadata.annotation(labels.APPLIED) is not None:",
        "and metadata.controller() is None:",
    ),
    (
        "files on a claim of the user's own count as gone",
        "return (cache.metadata.namespace,) if cache.spec.existing_claim is not None else ()",
        "return ()",
    ),
    (
        "a cache is not found by the claim that a model server mounts",
        "for claim in mounted_claims(service):\n        yield service.metadata.namespace, claim",
        "yield from ()",
    ),
    (
        "a derived template is not found by what runs on it",
        "if name := runtime_of(live):\n        yield live.metadata.namespace, name",
        "yield from ()",
    ),
    (
        "an operator of some namespaces does not see the Jobs in its own",
        "namespaces = self._with_own if own else self._namespaces",
        "namespaces = self._namespaces",
    ),
)

DEPENDENTS: tuple[Mutant, ...] = (
    *faults(
        "Who depends on what",
        "controllers/dependents.py",
        _STORIES,
        (
            "templates of a namespace do not hear of their cluster image",
            "yield from map(TEMPLATES.ref, self._watched.templates.store.by_index(BY_IMAGE, name))\n        yield",
            "yield",
        ),
        (
            "cluster templates do not hear of their image",
            "        yield from map(CLUSTER_TEMPLATES.ref, self._watched.cluster_templates.store.by_index(BY_IMAGE, name))\n",
            "",
        ),
        (
            "a derived template does not hear of a service that came to its model",
            "yield from map(TEMPLATES.ref, self._watched.templates.store.by_index(DERIVED_IN, key))",
            "yield from ()",
        ),
        (
            "a derived template does not hear that the service which used it went to another model",
            "if service.status is not None and service.status.resolved_template is not None:\n"
            "            name = service.status",
            "if service.status is not None and service.status.resolved_template is None:\n"
            "            name = model_of(service) or service.status",
        ),
        (
            "services do not hear of the template that they name or use",
            "for service in self._watched.services.store.by_index(BY_TEMPLATE, name):\n"
            "            if within(service, namespace):\n"
            "                yield SERVICES.ref(service)\n"
            "        for service in self._services_of_model(namespace",
            "for service in self._services_of_model(namespace",
        ),
        (
            "services do not hear of templates among which they choose",
            "if self._may_concern(service, template):",
            "if self._may_concern(service, template) and service.spec.template_ref:",
        ),
        (
            "services do not hear of their image's default template",
            "if service.spec.template_ref is None:\n                    yield SERVICES.ref(service)",
            "pass",
        ),
        (
            "services with overrides do not hear of templates equal to what they derive",
            "service.spec.overrides is not None or speaks_of_downloads(service)",
            "speaks_of_downloads(service)",
        ),
        (
            "services do not hear of a cluster template that comes to equal what they derived",
            "return bool(image.metadata.namespace)\n        default",
            "return False\n        default",
        ),
        (
            "services do not hear of the configuration of their template",
            "for template in self._templates_naming(name):\n            for service",
            "for template in ():\n            for service",
        ),
        (
            "services do not hear of the configuration of their image",
            "for image in self._images_naming(name):\n            yield from self._services_of_model",
            "for image in ():\n            yield from self._services_of_model",
        ),
        (
            "services that name no configuration do not hear of the default one",
            'yield from by_config(BY_CONFIG, "")',
            "pass",
        ),
        (
            "services do not hear that the default configuration sends their template's files elsewhere",
            "yield from by_config(BY_CONFIG, OWN_CONFIG)",
            "pass",
        ),
        (
            "templates do not hear of the configuration of their image",
            "for image in self._images_naming(name):\n            candidates.extend(",
            "for image in ():\n            candidates.extend(",
        ),
        (
            "templates that name no configuration do not hear of the default one",
            'candidates.extend(self._templates_naming(""))',
            "pass",
        ),
        (
            "images of a namespace do not hear of their default template",
            "if not namespace or image.metadata.namespace == namespace:\n                yield image",
            "pass",
        ),
        (
            "cluster images do not hear of their default template",
            "yield from self._watched.cluster_images.store.by_index(BY_DEFAULT_TEMPLATE, template_name)",
            "pass",
        ),
        (
            "a derived template does not hear that what ran on it moved to another",
            "return bytes(old.spec) != bytes(new.spec) and runtime_of(old) != runtime_of(new)",
            "return False",
        ),
    ),
    *faults(
        "Who depends on what",
        "controllers/cache_dependents.py",
        _STORIES,
        (
            "who needs a template cache does not hear of another one that had its name",
            "return {cache.spec.template_ref, cache.metadata.name}",
            "return {cache.spec.template_ref}",
        ),
        (
            "services on a cluster template do not hear of its cache",
            "for template in (self._catalog.template(namespace, name), self._catalog.cluster_template(name)):",
            "for template in (self._catalog.template(namespace, name),):",
        ),
        (
            "a template cache does not hear of the model caches that it lists",
            "yield from map(TEMPLATE_CACHES.ref, self._template_caches_listing(namespace, name))",
            "pass",
        ),
        (
            "a template cache does not hear of a model cache that has the source it lacks",
            "yield from map(TEMPLATE_CACHES.ref, waiting)",
            "pass",
        ),
        (
            "a template cache does not hear that a model cache in its way went",
            "if any(is_model_cache_name(name, uri) for uri in uncached):",
            "if not uncached:",
        ),
        (
            "template caches beside are not woken: the junior keeps the token of a senior that left",
            'for other in self._template_caches_listing(namespace, listed.name or ""):',
            "for other in ():",
        ),
        (
            "template caches of one template do not hear of each other",
            "yield from map(TEMPLATE_CACHES.ref, siblings)",
            "pass",
        ),
        (
            "a template cache does not hear of a service that comes to ask for it",
            "names.add(resolved.metadata.name)",
            "pass",
        ),
        (
            "a template cache does not hear of a service that asks no more",
            "names = set(template_names(service))",
            "names: set[str] = set()",
        ),
        (
            "template caches that inherit a configuration do not hear of it",
            'caches = (*by_config(BY_CONFIG, name), *by_config(BY_CONFIG, ""))',
            "caches = (*by_config(BY_CONFIG, name),)",
        ),
        (
            "model caches that name no configuration do not hear of the default one",
            '*(by_config(BY_CONFIG, "") if name == DEFAULT_CONFIG else ())',
            "",
        ),
        (
            "who waits for room does not hear that the budget was raised",
            "caches += by_config(BY_AWAITED_ROOM, namespace)",
            "pass",
        ),
        (
            "a model cache does not hear of the class of its claim",
            "for claim in self._watched.claims.store.by_index(BY_CLASS, storage_class.metadata.name):",
            "for claim in ():",
        ),
        (
            "a model cache does not hear that there is a default storage class by now",
            'for claim in self._watched.claims.store.by_index(BY_PENDING_CLASS, ""):',
            "for claim in ():",
        ),
        (
            "a model cache does not hear of a template cache that looks for its source",
            "yield from map(MODEL_CACHES.ref, of_source)",
            "pass",
        ),
        (
            "a model cache does not hear that a template cache lists it, or no more",
            "yield ObjectRef(MODEL_CACHES.kind, namespace, listed.name)",
            "pass",
        ),
    ),
)

MUTANTS = (*INDEXES, *DEPENDENTS)
