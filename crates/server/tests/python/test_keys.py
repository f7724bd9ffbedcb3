"""Keys: section 5.6, against a daemon with an API key, allowed stores and a named key that may only read."""

import os

import grpc
from support import *

UNAUTHENTICATED = grpc.StatusCode.UNAUTHENTICATED
DENIED = grpc.StatusCode.PERMISSION_DENIED
REFUSED = "authentication failed: rpc error: code = Unauthenticated desc = invalid api key"

KEY = ("x-api-key", os.environ["LEDGER_API_KEY"])
READER = ("x-api-key", os.environ["READER_KEY"])
ORDERS = ("x-ledger-store", "orders")


class Keys(StoreTest):
    def calls(self, *metadata):
        with_metadata = {"metadata": metadata, "timeout": TIMEOUT}
        entry = pb.EntryInput(payload=b"a")
        append = pb.AppendRequest(stream="s", entries=[entry])
        requests = [
            ("Append", append),
            ("Read", pb.ReadRequest(stream="s")),
            ("Count", pb.CountRequest(stream="s")),
            ("Stat", pb.StatRequest(stream="s")),
            ("SetTags", pb.SetTagsRequest(stream="s", id="1")),
            ("SetAnnotations", pb.SetAnnotationsRequest(stream="s", id="1")),
            ("Trim", pb.TrimRequest(stream="s", before_id="0")),
            ("ListStreamIDs", pb.ListStreamIDsRequest()),
            ("RenameStream", pb.RenameStreamRequest(name="s", new_name="s")),
            ("Search", pb.SearchRequest(query="a")),
            ("Health", pb.HealthRequest()),
        ]
        calls = {
            method: (lambda method=method, request=request: getattr(service, method)(request, **with_metadata))
            for method, request in requests
        }
        calls["Subscribe"] = lambda: next(streaming.Subscribe(pb.SubscribeRequest(stream="s"), **with_metadata))
        session = pb.AppendSessionRequest(sequence=1, append=append)
        calls["AppendSession"] = lambda: next(streaming.AppendSession(iter([session]), **with_metadata))
        cursor = pb.SetCursorRequest(name="c", position="1")
        calls["GetCursor"] = lambda: consumers.GetCursor(pb.GetCursorRequest(name="c"), **with_metadata)
        calls["SetCursor"] = lambda: consumers.SetCursor(cursor, **with_metadata)
        find = pb.FindBySourceRequest(stream="s", source_id="x")
        calls["FindBySource"] = lambda: consumers.FindBySource(find, **with_metadata)
        return calls

    def test_nothing_is_answered_without_the_key(self):
        wrong = [(), (("x-api-key", ""),), (("x-api-key", KEY[1][:-1]),), (("x-api-key", KEY[1] + "x"),)]
        for key in wrong:
            for method, call in self.calls(ORDERS, *key).items():
                with self.subTest(method, key=key):
                    self.assert_fails(call, UNAUTHENTICATED, REFUSED)

    def test_everything_is_answered_with_it(self):
        for method, call in self.calls(ORDERS, KEY).items():
            with self.subTest(method):
                call()

    def test_the_first_of_several_keys_wins(self):
        wrong = ("x-api-key", "wrong")
        self.calls(ORDERS, KEY, wrong)["Count"]()
        self.assert_fails(self.calls(ORDERS, wrong, KEY)["Count"], UNAUTHENTICATED, REFUSED)

    def test_a_store_that_is_not_allowed_is_denied(self):
        said = 'access denied: store "private" is not accessible with this API key'
        calls = self.calls(("x-ledger-store", "private"), KEY)
        for method, call in calls.items():
            with self.subTest(method):
                self.assert_fails(call, DENIED, said)

    def test_a_key_without_a_store_gets_the_error_that_it_deserves(self):
        calls = self.calls(KEY)
        self.assertEqual(calls.pop("Health")().status, "ok")
        for method, call in calls.items():
            with self.subTest(method):
                self.assert_fails(call, grpc.StatusCode.INVALID_ARGUMENT, "missing x-ledger-store metadata header")

    def test_a_key_that_may_read_may_only_read(self):
        self.calls(ORDERS, KEY)["Append"]()
        needed = {
            "Append": "write",
            "SetTags": "write",
            "SetAnnotations": "write",
            "AppendSession": "write",
            "SetCursor": "write",
            "Trim": "admin",
            "RenameStream": "admin",
        }
        for method, call in self.calls(ORDERS, READER).items():
            with self.subTest(method):
                if method in needed:
                    said = f"access denied: this API key has no right to {needed[method]}"
                    self.assert_fails(call, DENIED, said)
                else:
                    call()
