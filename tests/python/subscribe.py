"""Prints the records of a published stream, one value a line, with nothing but a stock gRPC client.

The contract comes from the worker itself, by reflection: no code is generated. Where a call ends, it goes on behind the
last answer, at the next worker.

    pip install grpcio grpcio-reflection
    python subscribe.py HOST:PORT,.. STREAM [--from earliest|latest] [--token FILE]

With --token it goes on where the token in the file says, if there is one, and keeps the token of each answer there once its
lines are out.
"""

import argparse
import os
import sys
import time

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

SERVICE = "pelton.subscribe.v1.Subscribe"
VAIN_ATTEMPTS_MAX = 60
# So that a worker that is gone without a word is noticed.
KEEP_ALIVE = [("grpc.keepalive_time_ms", 10_000), ("grpc.keepalive_timeout_ms", 10_000)]


class _ReflectionV1(grpc.StreamStreamClientInterceptor):
    """The package speaks v1alpha, and workers v1: the messages are the same, the service has another name."""

    def intercept_stream_stream(self, continuation, details, requests):
        method = details.method.replace("grpc.reflection.v1alpha.", "grpc.reflection.v1.")
        return continuation(details._replace(method=method), requests)


def answers_of(address, stream, place):
    """The answers of one call, from `place` on: "earliest", "latest" or a token."""
    with grpc.insecure_channel(address, options=KEEP_ALIVE) as channel:
        described = grpc.intercept_channel(channel, _ReflectionV1())
        pool = DescriptorPool(ProtoReflectionDescriptorDatabase(described))
        method = pool.FindServiceByName(SERVICE).methods_by_name["Subscribe"]
        request, response = GetMessageClass(method.input_type), GetMessageClass(method.output_type)
        call = channel.unary_stream(
            f"/{SERVICE}/{method.name}",
            request_serializer=request.SerializeToString,
            response_deserializer=response.FromString,
        )
        asked = request(stream=stream)
        if isinstance(place, bytes):
            asked.token = place
        else:
            getattr(asked, place).SetInParent()
        yield from call(asked)


def received(addresses, stream, place):
    """All answers, from one worker after another, until the stream ends."""
    vain = 0
    while vain < VAIN_ATTEMPTS_MAX:
        address = addresses[0]
        try:
            for answer in answers_of(address, stream, place):
                yield answer
                place, vain = answer.token, 0
                if answer.end:
                    return
        except grpc.RpcError as error:
            again = (
                grpc.StatusCode.UNAVAILABLE,
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                grpc.StatusCode.DEADLINE_EXCEEDED,
                grpc.StatusCode.CANCELLED,
                grpc.StatusCode.UNKNOWN,
            )
            if error.code() not in again:
                raise SystemExit(f"{address}: {error.code().name}: {error.details()}") from error
            print(f"{address}: {error.code().name}; trying the next", file=sys.stderr)
        addresses.append(addresses.pop(0))
        time.sleep(min(1.0, 0.05 * 2 ** min(vain, 5)))
        vain += 1
    raise SystemExit(f"no worker of {', '.join(addresses)} answers")


def kept(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None


def keep(path, token):
    with open(f"{path}.new", "wb") as file:
        file.write(token)
    os.replace(f"{path}.new", path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("addresses", help="workers, HOST:PORT, with commas between them")
    parser.add_argument("stream")
    parser.add_argument("--from", dest="place", choices=["earliest", "latest"], default="earliest")
    parser.add_argument("--token", help="the file that the token is kept in")
    arguments = parser.parse_args()
    place = (arguments.token and kept(arguments.token)) or arguments.place
    for answer in received(arguments.addresses.split(","), arguments.stream, place):
        for record in answer.records:
            sys.stdout.buffer.write(record.value + b"\n")
        sys.stdout.buffer.flush()
        if arguments.token:
            keep(arguments.token, answer.token)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
