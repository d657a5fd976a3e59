"""Condition types, lifecycle states and reasons, as users see them; docs/reference/reasons.md tells more."""

from __future__ import annotations

# Condition types.
READY = "Ready"
PROGRESSING = "Progressing"
FAILURE = "Failure"
DISCOVERED = "Discovered"
HARDWARE_AVAILABLE = "HardwareAvailable"
CACHE_WARM = "CacheWarm"
RESOLVED = "Resolved"
CACHE_READY = "CacheReady"
RUNTIME_READY = "RuntimeReady"
ROUTING_READY = "RoutingReady"
STORAGE_READY = "StorageReady"
PAUSED = "Paused"


class State:
    """Values of `status.status`."""

    PENDING = "Pending"
    PROGRESSING = "Progressing"
    AVAILABLE = "Available"
    STARTING = "Starting"
    RUNNING = "Running"
    READY = "Ready"
    FAILED = "Failed"
    DEGRADED = "Degraded"


class Reason:
    """Values of `condition.reason`; the same words are the reasons of events."""

    # Images and runtime configurations
    VALID = "Valid"
    # Any kind
    PAUSED = "Paused"
    WRITE_FAILED = "WriteFailed"
    WAITING_FOR_DELETION = "WaitingForDeletion"
    CHANGED_BY_OTHERS = "ChangedByOthers"
    # Resolution
    RESOLVED = "Resolved"
    IMAGE_NOT_FOUND = "ImageNotFound"
    TEMPLATE_NOT_FOUND = "TemplateNotFound"
    TEMPLATE_NOT_AVAILABLE = "TemplateNotAvailable"
    NO_OPTIMIZED_TEMPLATE = "NoOptimizedTemplate"
    TEMPLATE_SELECTION_AMBIGUOUS = "TemplateSelectionAmbiguous"
    TEMPLATE_IMAGE_MISMATCH = "TemplateImageMismatch"
    RUNTIME_CONFIG_MISSING = "RuntimeConfigMissing"
    RESOURCES_INVALID = "ResourcesInvalid"
    ENGINE_ARGS_INVALID = "EngineArgsInvalid"
    NAME_CONFLICT = "NameConflict"
    KSERVE_NOT_INSTALLED = "KServeNotInstalled"
    GATEWAY_API_NOT_INSTALLED = "GatewayAPINotInstalled"
    # Discovery
    AWAITING_SLOT = "AwaitingDiscoverySlot"
    DISCOVERY_RUNNING = "DiscoveryRunning"
    JOB_PENDING = "JobPending"
    PULLING = "Pulling"
    DISCOVERED = "Discovered"
    MODEL_SOURCES_GIVEN = "ModelSourcesGiven"
    AVAILABLE = "Available"
    JOB_FAILED = "JobFailed"
    DISCOVERY_FAILED = "DiscoveryFailed"
    DISCOVERY_PARSE_FAILED = "DiscoveryParseFailed"
    NO_MATCHING_PROFILE = "NoMatchingProfile"
    IMAGE_PULL_AUTH_FAILED = "ImagePullAuthFailed"
    IMAGE_PULL_FAILED = "ImagePullFailed"
    UNSCHEDULABLE = "Unschedulable"
    JOB_REFUSED = "JobRefused"
    HARDWARE_FOUND = "HardwareFound"
    HARDWARE_NOT_FOUND = "HardwareNotFound"
    HARDWARE_UNKNOWN = "HardwareUnknown"
    # Runtime
    NO_MODEL_SOURCES = "NoModelSources"
    CREATING_RUNTIME = "CreatingRuntime"
    RUNTIME_READY = "RuntimeReady"
    RUNTIME_FAILED = "RuntimeFailed"
    ROLLING_OUT = "RollingOut"
    ROLLOUT_FAILED = "RolloutFailed"
    # Routing
    CONFIGURING_ROUTE = "ConfiguringRoute"
    ROUTE_READY = "RouteReady"
    ROUTE_FAILED = "RouteFailed"
    ROUTE_TEMPLATE_INVALID = "RouteTemplateInvalid"
    ROUTE_CONFLICT = "RouteConflict"
    # Caching
    CACHING_NOT_REQUESTED = "CachingNotRequested"
    WAITING_FOR_CACHE = "WaitingForCache"
    CACHE_WARM = "CacheWarm"
    CACHE_LOST = "CacheLost"
    # Model caches
    LISTING = "Listing"
    LISTING_FAILED = "ListingFailed"
    PROVISIONING = "Provisioning"
    PROVISIONING_FAILED = "ProvisioningFailed"
    STORAGE_READY = "StorageReady"
    CLAIM_TERMINATING = "ClaimTerminating"
    CLAIM_LOST = "ClaimLost"
    DOWNLOAD_PENDING = "DownloadPending"
    DOWNLOADING = "Downloading"
    DOWNLOADED = "Downloaded"
    DOWNLOAD_FAILED = "DownloadFailed"
    AUTHENTICATION_FAILED = "AuthenticationFailed"
    SOURCE_NOT_FOUND = "SourceNotFound"
    INSUFFICIENT_SPACE = "InsufficientSpace"
    STALLED = "Stalled"
    DEADLINE_EXCEEDED = "DeadlineExceeded"


class EventReason:
    """Reasons of events that are not also condition reasons."""

    RUNTIME_CONFIG_RESOLVED = "RuntimeConfigResolved"
    DEFAULT_RUNTIME_CONFIG_NOT_FOUND = "DefaultRuntimeConfigNotFound"
    TEMPLATE_RESOLVED = "TemplateResolved"
    INFERENCE_SERVICE_CREATED = "InferenceServiceCreated"
    INFERENCE_SERVICE_UPDATED = "InferenceServiceUpdated"
    DISCOVERY_STARTED = "DiscoveryStarted"
    DISCOVERY_SUCCEEDED = "DiscoverySucceeded"
    DOWNLOAD_STARTED = "DownloadStarted"
    CACHE_READY = "CacheReady"
