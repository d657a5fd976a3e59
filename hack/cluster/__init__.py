"""A real Kubernetes cluster on a bare machine, for tests and demos; README.md tells how to use it.

    errors, cache, progress, ports, processes, kernel      what everything else stands on
    components → toolchain → build                         Go modules to cached binaries
    control_plane, node, kserve, gateway, operator_image   one module per part: starts it
    images, manifests, provisioner, service_address        what parts need besides processes
    instance → stop → reaper                               state on disk, and undoing all of it
    cluster → external, testing, __main__                  what others call

Standard library only: it runs before the project has any dependency installed.
"""
