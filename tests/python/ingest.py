"""Appends lines of JSON to a stream that a pipeline ingests, with nothing but a stock gRPC client.

The contract comes from the worker itself, by reflection: no code is generated. What was not answered is sent again, with
the same ids, to the next worker.

    pip install grpcio grpcio-reflection
    python ingest.py HOST:PORT,.. STREAM CLIENT --key FIELD [--finish] < LINES

With --tls-cert, --tls-key and --tls-ca it speaks mutual TLS.

The id of a record is the number of its line, so the same input under the same client name is appended once, however often
this is run.
"""

import argparse
import json
import sys
import time

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

SERVICE = "pelton.ingest.v1.Ingest"
RECORDS_MAX = 500
REQUEST_BYTES_MAX = 450_000
ATTEMPTS_MAX = 60
ANSWER_WAIT_S_MAX = 30


class Worker:
    """The ingest service at one address, as its reflection describes it."""

    def __init__(self, address, credentials):
        if credentials is None:
            self.channel = grpc.insecure_channel(address)
        else:
            self.channel = grpc.secure_channel(address, credentials)
        pool = DescriptorPool(ProtoReflectionDescriptorDatabase(self.channel))
        methods = pool.FindServiceByName(SERVICE).methods_by_name
        self.append_request, self.append = self._method(methods["Append"], self.channel.stream_stream)
        self.finish_request, self.finish = self._method(methods["Finish"], self.channel.unary_unary)

    @staticmethod
    def _method(method, kind):
        request, response = GetMessageClass(method.input_type), GetMessageClass(method.output_type)
        call = kind(
            f"/{SERVICE}/{method.name}",
            request_serializer=request.SerializeToString,
            response_deserializer=response.FromString,
        )
        return request, call


def records_of(lines, key):
    for number, line in enumerate(lines):
        line = line.strip()
        if line:
            yield {
                "id": str(number).encode(),
                "key": str(json.loads(line)[key]).encode(),
                "value": line.encode(),
            }


def batches_of(records):
    batch, size = [], 0
    for record in records:
        weight = sum(len(part) for part in record.values())
        if batch and (len(batch) == RECORDS_MAX or size + weight > REQUEST_BYTES_MAX):
            yield batch
            batch, size = [], 0
        batch.append(record)
        size += weight
    if batch:
        yield batch


def retried(addresses, credentials, attempt):
    """Does `attempt` with one worker after another until it succeeds; the next time begins with that one."""
    for number in range(ATTEMPTS_MAX):
        address = addresses[0]
        try:
            return attempt(Worker(address, credentials))
        except grpc.RpcError as error:
            again = (
                grpc.StatusCode.UNAVAILABLE,
                grpc.StatusCode.DEADLINE_EXCEEDED,
                grpc.StatusCode.CANCELLED,
                grpc.StatusCode.UNKNOWN,
            )
            if error.code() not in again:
                raise SystemExit(f"{address}: {error.code().name}: {error.details()}") from error
            print(f"{address}: {error.code().name}; trying the next", file=sys.stderr)
            addresses.append(addresses.pop(0))
            time.sleep(min(1.0, 0.05 * 2**min(number, 5)))
    raise SystemExit(f"no worker of {', '.join(addresses)} took it")


def append_all(addresses, credentials, stream, client, batches):
    appended = 0
    for batch in batches:

        def attempt(worker, batch=batch):
            request = worker.append_request(stream=stream, client=client, records=batch)
            (answer,) = worker.append(iter([request]), timeout=ANSWER_WAIT_S_MAX)
            return answer.records

        appended += retried(addresses, credentials, attempt)
    return appended


def credentials_of(arguments):
    files = (arguments.tls_ca, arguments.tls_key, arguments.tls_cert)
    if not any(files):
        return None
    if not all(files):
        raise SystemExit("for TLS, --tls-cert, --tls-key and --tls-ca are given together")
    contents = []
    for name in files:
        with open(name, "rb") as file:
            contents.append(file.read())
    return grpc.ssl_channel_credentials(*contents)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("addresses", help="workers, HOST:PORT, with commas between them")
    parser.add_argument("stream")
    parser.add_argument("client", help="the name under which ids are unique")
    parser.add_argument("--key", required=True, help="the field that is the key")
    parser.add_argument("--finish", action="store_true", help="say that no more records come, from anybody")
    for name, what in (("cert", "this client's certificate"), ("key", "its key"), ("ca", "the CA of the workers")):
        parser.add_argument(f"--tls-{name}", help=f"{what}, a PEM file")
    arguments = parser.parse_args()
    credentials = credentials_of(arguments)
    addresses = arguments.addresses.split(",")
    batches = batches_of(records_of(sys.stdin, arguments.key))
    appended = append_all(addresses, credentials, arguments.stream, arguments.client, batches)
    print(f"{appended} records are durable")
    if arguments.finish:
        retried(
            addresses,
            credentials,
            lambda worker: worker.finish(worker.finish_request(stream=arguments.stream), timeout=ANSWER_WAIT_S_MAX),
        )
        print(f"{arguments.stream} is finished")


if __name__ == "__main__":
    main()
