"""A client in another language that knows nothing of Gladsheim: it learns the methods and messages from the
daemon itself, by server reflection, and drives the service `thor`. Ends with an error if anything is not as the contract says.
"""

import sys

import grpc
from google.protobuf import descriptor_pool, message_factory
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

# grpcio makes an authority of the socket's path that HTTP/2 servers in Rust take for a malformed one.
options = [("grpc.default_authority", "localhost")]
channel = grpc.insecure_channel("unix:" + sys.argv[1], options)
database = ProtoReflectionDescriptorDatabase(channel)
names = set(database.get_services())
assert {"gladsheim.v1.GladsheimService", "grpc.health.v1.Health"} <= names, names
pool = descriptor_pool.DescriptorPool(database)
service = pool.FindServiceByName("gladsheim.v1.GladsheimService")


def call(name, **fields):
    method = service.methods_by_name[name]
    request = message_factory.GetMessageClass(method.input_type)
    response = message_factory.GetMessageClass(method.output_type)
    kind = channel.unary_stream if method.server_streaming else channel.unary_unary
    stub = kind(
        f"/{service.full_name}/{name}",
        request_serializer=request.SerializeToString,
        response_deserializer=response.FromString,
    )
    return stub(request(**fields), timeout=60)


def refusal(name, **fields):
    try:
        call(name, **fields)
    except grpc.RpcError as error:
        return error.code(), dict(error.trailing_metadata())["gladsheim-reason"]
    raise AssertionError(f"{name} was not refused")


assert [one.service_name for one in call("ListServices").services] == ["thor"]
events = call("WatchEvents", follow=True, service_name="thor")


def wait_for_event(kind):
    for event in events:
        if event.kind == kind:
            return event
    raise AssertionError(f"no {kind}")


assert call("StartService", service_name="thor").status.state == "running"
started = wait_for_event("service.started")
status = call("GetServiceStatus", service_name="thor")
assert (status.state, status.process_id) == ("running", started.process_id), status
assert refusal("StartService", service_name="thor") == (
    grpc.StatusCode.ALREADY_EXISTS,
    "already_running",
)

assert call("StopService", service_name="thor").status.state == "stopped"
stopped = wait_for_event("service.stopped")
assert call("GetServiceStatus", service_name="thor").process_id == 0
assert refusal("StopService", service_name="thor") == (
    grpc.StatusCode.FAILED_PRECONDITION,
    "not_running",
)
assert refusal("GetServiceStatus", service_name="hel") == (
    grpc.StatusCode.NOT_FOUND,
    "not_found",
)

# Resumed after the start, the stream has all that followed and nothing before.
resumed = [event.seq for event in call("WatchEvents", since=started.seq)]
assert stopped.seq in resumed and min(resumed) == started.seq + 1, resumed
events.cancel()
