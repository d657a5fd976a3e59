"""Stand-ins for a node, KServe and a gateway on a real control plane, in a process of their own.

Real: the API server with every CRD, RBAC, Jobs, Pods, the scheduler, garbage collection, and the way of a
log from the node through the API server. Stood in for: what containers do, and the statuses that KServe
and gateways write. So a service runs in a second, and a test decides what goes wrong. What Pods, KServe
and gateways really do is proven in tests/e2e.

A Namespace's annotations hold a stand-in back there: `stand-in.test/node: hold` keeps discovery Pods
running, `…/kserve` and `…/gateway` leave the statuses to the test.
"""
