"""A grpc.health.v1 server of Google's own making, on `--port N`; `--check-only` offers no Watch.

What it says of `freki.v1.Freki` is what the file `--control FILE` says: `ok` (also without a file) or `fail`.
"""

import argparse
import pathlib
import signal
import time
from concurrent import futures

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc


class CheckOnly(health.HealthServicer):
    def Watch(self, request, context):
        context.abort(grpc.StatusCode.UNIMPLEMENTED, "no Watch here")


parser = argparse.ArgumentParser()
parser.add_argument("--port", required=True)
parser.add_argument("--control", type=pathlib.Path, required=True)
parser.add_argument("--check-only", action="store_true")
options = parser.parse_args()

servicer = CheckOnly() if options.check_only else health.HealthServicer()
server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
assert server.add_insecure_port(f"127.0.0.1:{options.port}")
server.start()


def end(*_):
    raise SystemExit(0)


signal.signal(signal.SIGTERM, end)
before = None
while True:
    fails = options.control.exists() and options.control.read_text().strip() == "fail"
    if fails != before:
        status = health_pb2.HealthCheckResponse
        servicer.set("freki.v1.Freki", status.NOT_SERVING if fails else status.SERVING)
        before = fails
    time.sleep(0.02)
