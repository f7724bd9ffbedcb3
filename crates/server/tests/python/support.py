"""What the tests share: a channel to the daemon that remembers which calls it made, and requests to a store."""

import os
import queue
import unittest

import grpc
from ledger.v1 import ledger_pb2 as pb
from ledger.v1 import ledger_pb2_grpc as rpc

ADDRESS = os.environ["LEDGER_ADDRESS"]
DATABASE = os.environ["LEDGER_DATABASE"]

# No call of these tests takes longer unless something hangs.
TIMEOUT = 60


class Recorder(
    grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor, grpc.StreamStreamClientInterceptor
):
    """Remembers every call that was made through a channel."""

    def __init__(self):
        self.called = set()

    def _record(self, continuation, details, request):
        method = details.method
        self.called.add(method if isinstance(method, str) else method.decode())
        return continuation(details, request)

    intercept_unary_unary = _record
    intercept_unary_stream = _record
    intercept_stream_stream = _record


recorder = Recorder()
channel = grpc.intercept_channel(grpc.insecure_channel(ADDRESS), recorder)
service = rpc.LedgerServiceStub(channel)
streaming = rpc.LedgerStreamingStub(channel)
consumers = rpc.LedgerConsumersStub(channel)


class StoreTest(unittest.TestCase):
    """A test with a store of its own, named after it, so that ids begin at 1."""

    def setUp(self):
        self.store = self._testMethodName[:45]
        self.to = {"metadata": (("x-ledger-store", self.store),), "timeout": TIMEOUT}

    def append(self, stream, *payloads):
        entries = [pb.EntryInput(payload=payload) for payload in payloads]
        return service.Append(pb.AppendRequest(stream=stream, entries=entries), **self.to)

    def read(self, stream, **options):
        request = pb.ReadRequest(stream=stream, options=pb.ReadOptions(**options))
        return service.Read(request, **self.to).entries

    def payloads(self, stream, **options):
        return [entry.payload for entry in self.read(stream, **options)]

    def assert_fails(self, call, code, message, contains=False):
        """The call fails with this code; with this message, or with one that contains it."""
        with self.assertRaises(grpc.RpcError) as failed:
            call()
        said = failed.exception.details()
        self.assertEqual((failed.exception.code(), said), (code, said))
        if contains:
            self.assertIn(message, said)
        else:
            self.assertEqual(said, message)


class Requests:
    """Requests of a session, sent as the test says."""

    END = object()

    def __init__(self):
        self._queue = queue.Queue()

    def send(self, request):
        self._queue.put(request)

    def end(self):
        self._queue.put(self.END)

    def __iter__(self):
        return iter(self._queue.get, self.END)
