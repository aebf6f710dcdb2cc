"""What a run asks an API server for, as patterns of requests, and what it says to nonsense."""

from __future__ import annotations

NODES, PODS = "GET /api/v1/nodes[?]*", "GET /api/v1/pods[?]*"
GROUPS, REVIEWS = "GET /apis", "POST *selfsubjectrulesreviews"
OURS = "GET /api/v1/namespaces/pytest-gpu"
VISITS, WATCH = f"{OURS}/pods[?]label*", f"{OURS}/pods[?]*watch=true*"

NO_OBJECT = "is not an object"
NO_LIST = "is not a list of objects"
NOT_JSON = "the answer is not JSON"
QUICK = "--gpu-timeout=1"

DEEP = b"[" * 100_000
HUGE = b"1" + b"0" * 400
