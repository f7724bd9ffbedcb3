"""Reflection, as tools use it that know nothing of the protocol."""

import json
import os
import subprocess

import grpc
from google.protobuf import descriptor_pb2
from grpc_reflection.v1alpha import reflection_pb2
from support import *

EXPECTED = {
    "ledger.v1.LedgerService",
    "ledger.v1.LedgerStreaming",
    "ledger.v1.LedgerConsumers",
    "grpc.health.v1.Health",
}


class Reflection(unittest.TestCase):
    def ask(self, version, **request):
        # Both versions have the same messages.
        call = channel.stream_stream(
            f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )
        [answer] = call(iter([reflection_pb2.ServerReflectionRequest(**request)]), timeout=TIMEOUT)
        return answer

    def test_both_versions_describe_the_services(self):
        for version in ["v1", "v1alpha"]:
            listed = self.ask(version, list_services="").list_services_response.service
            self.assertLessEqual(EXPECTED, {service.name for service in listed})
            answer = self.ask(version, file_containing_symbol="ledger.v1.LedgerStreaming.Subscribe")
            files = [
                descriptor_pb2.FileDescriptorProto.FromString(file)
                for file in answer.file_descriptor_response.file_descriptor_proto
            ]
            self.assertIn("ledger/v1/ledger.proto", [file.name for file in files])
            with self.assertRaises(grpc.RpcError) as failed:
                self.ask(version, file_containing_symbol="ledger.v1.Nonsense")
            self.assertEqual(failed.exception.code(), grpc.StatusCode.NOT_FOUND)


class Grpcurl(unittest.TestCase):
    def grpcurl(self, *arguments):
        run = subprocess.run(
            [os.environ["GRPCURL"], "-plaintext", *arguments], capture_output=True, text=True, timeout=TIMEOUT
        )
        self.assertEqual(run.returncode, 0, run.stderr)
        return run.stdout

    def test_it_lists_and_calls_without_the_proto(self):
        listed = set(self.grpcurl(ADDRESS, "list").split())
        self.assertLessEqual(EXPECTED, listed)
        described = self.grpcurl(ADDRESS, "describe", "ledger.v1.LedgerService.Append")
        self.assertIn(".ledger.v1.AppendRequest", described)
        store = ["-H", "x-ledger-store: curled"]
        body = {"stream": "s", "entries": [{"payload": "eyJhIjoxfQ=="}]}
        appended = self.grpcurl(*store, "-d", json.dumps(body), ADDRESS, "ledger.v1.LedgerService/Append")
        self.assertEqual(json.loads(appended)["ids"], ["1"])
        page = self.grpcurl(*store, "-d", '{"stream":"s"}', ADDRESS, "ledger.v1.LedgerService/Read")
        [entry] = json.loads(page)["entries"]
        self.assertEqual((entry["id"], entry["payload"]), ("1", "eyJhIjoxfQ=="))
