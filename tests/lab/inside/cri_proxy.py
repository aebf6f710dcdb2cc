"""A byte proxy: answers CRI v1alpha2 by asking a runtime that speaks only CRI v1.

``cri_proxy.py LISTEN TARGET``, both paths of sockets. The messages of the two versions are alike
on the wire, so only the method's name is changed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent import futures
from pathlib import Path

import grpc

SIZE = 64 << 20
LONGEST = 600.0


class Forward(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Handles every method there is."""

    def __init__(self, channel: grpc.Channel) -> None:
        """Forward to ``channel``."""
        self.channel = channel

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        """Return the handler of one method."""
        method = details.method.replace("/runtime.v1alpha2.", "/runtime.v1.")
        return grpc.unary_unary_rpc_method_handler(self.caller(method))

    def caller(self, method: str) -> Callable[[bytes, grpc.ServicerContext], bytes]:
        """Return the function that makes one call."""

        def call(request: bytes, context: grpc.ServicerContext) -> bytes:
            # A call without a deadline has an endless one, which gRPC takes for none left.
            seconds = min(context.time_remaining() or LONGEST, LONGEST)
            try:
                answer: bytes = self.channel.unary_unary(method)(request, timeout=seconds)
            except grpc.RpcError as error:
                context.abort(error.code(), error.details())
            return answer

        return call


def main() -> None:
    """Be the program."""
    listen, target = sys.argv[1:]
    Path(listen).parent.mkdir(parents=True, exist_ok=True)
    Path(listen).unlink(missing_ok=True)
    large = ("grpc.max_receive_message_length", SIZE)
    options = [("grpc.default_authority", "localhost"), large]
    channel = grpc.insecure_channel(f"unix:{target}", options=options)
    server = grpc.server(futures.ThreadPoolExecutor(32), options=[large])
    server.add_generic_rpc_handlers((Forward(channel),))
    server.add_insecure_port(f"unix:{listen}")
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    main()
