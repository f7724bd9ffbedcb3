#!/usr/bin/env python3
"""A small web application that does what real ones do: redirects, cookies, streams, WebSockets.

As `sqlpage` it is told its prefix and answers below it; as `plain HOST PORT` it knows of none and answers at the root.
"""
import base64, hashlib, http.server, json, os, sys, threading, urllib.parse

if os.path.basename(sys.argv[0]) == "sqlpage":
    host, port = os.environ["LISTEN_ON"].rsplit(":", 1)
    prefix = os.environ["SQLPAGE_SITE_PREFIX"]
else:
    host, port, prefix = sys.argv[1], sys.argv[2], ""
go = threading.Semaphore(0)
read = [0]

PAGE = """<!doctype html><title>App</title><link rel="icon" href="data:,"><h1>A page of a service</h1><p id="cookie">%s</p>
<a id="login" href="login">log in</a><pre id="echo"></pre><script>
const socket = new WebSocket(location.href.replace("http", "ws").replace(/[^/]*$/, "") + "ws");
socket.onopen = () => socket.send("hello through the proxy");
socket.onmessage = (event) => { document.getElementById("echo").textContent = event.data; };
</script>"""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    tired = False

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            for one in value if isinstance(value, list) else [value]:
                self.send_header(name.replace("_", "-"), one)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def chunk(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def do_GET(self):
        if self.is_tired():
            return
        whole, _, query = self.path.partition("?")
        whole = urllib.parse.unquote(whole)
        if not (whole + "/").startswith(prefix + "/"):
            return self.answer(308, Location=prefix + self.path)
        path = whole[len(prefix):]
        if path == "":
            return self.answer(301, Location=urllib.parse.quote(prefix) + "/")
        if path == "/":
            text = PAGE % (self.headers.get("Cookie") or "no cookie")
            return self.answer(200, text.encode(), Content_Type="text/html; charset=utf-8")
        if path == "/login":
            return self.answer(303, Location=prefix + "/", Set_Cookie=[
                "session=ok; Path=%s/; HttpOnly" % prefix, "other=1; Path=/"])
        if path == "/absolute":
            return self.answer(302, Location="http://%s:%s%s/landed?a=b#c" % (host, port, prefix))
        if path == "/headers":
            seen = {"path": self.path, "peer_port": self.client_address[1], "headers": list(self.headers.items())}
            return self.answer(200, json.dumps(seen).encode(), Content_Type="application/json",
                               Keep_Alive="timeout=5", X_Own="1")
        if path == "/big":
            length = int(query)
            self.send_response(200)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            piece = b"x" * 65536
            while length > 0:
                self.wfile.write(piece[:length])
                length -= len(piece)
            return
        if path == "/events":
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.chunk(b"data: first\n\n")
            go.acquire(timeout=60)
            self.chunk(b"data: second\n\n")
            self.chunk(b"")
            return
        if path == "/go":
            go.release()
            return self.answer(200, str(read[0]).encode())
        if path == "/drop":
            self.close_connection = True
            return
        if path == "/cut":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"not all of it")
            self.close_connection = True
            return
        if path == "/tired":
            self.tired = True
            return self.answer(200, b"promised to keep the connection")
        if path == "/say":
            sys.stderr.write(query + "\n")
            sys.stderr.flush()
            return self.answer(200, b"said")
        if path == "/steal":
            return self.answer(200, Set_Cookie=["truth-yard-%s=evil; Path=/" % query, "mine=1"],
                               Service_Worker_Allowed="/", Clear_Site_Data='"*"')
        if path == "/ws":
            return self.web_socket()
        self.answer(404, b"no such page")

    do_HEAD = do_GET

    def is_tired(self):
        """Whether the connection is closed in place of an answer, though it was promised to be kept."""
        self.close_connection = self.close_connection or self.tired
        return self.tired

    def do_POST(self):
        if self.is_tired():
            return
        path = urllib.parse.unquote(self.path)[len(prefix):]
        if path == "/wait":
            go.acquire(timeout=60)
        digest, length = hashlib.sha256(), 0
        for data in self.body():
            digest.update(data)
            length += len(data)
            read[0] = length
        seen = {"bytes": length, "sha256": digest.hexdigest(), "path": self.path,
                "transfer": self.headers.get("Transfer-Encoding"), "length": self.headers.get("Content-Length")}
        self.answer(200, json.dumps(seen).encode(), Content_Type="application/json")

    do_PUT = do_DELETE = do_PATCH = do_POST

    def body(self):
        if self.headers.get("Transfer-Encoding") == "chunked":
            while True:
                length = int(self.rfile.readline(), 16)
                data = self.rfile.read(length)
                self.rfile.readline()
                if length == 0:
                    return
                yield data
        left = int(self.headers.get("Content-Length") or 0)
        while left > 0:
            data = self.rfile.read(min(left, 65536))
            if not data:
                return
            left -= len(data)
            yield data

    def web_socket(self):
        """Echoes short text frames (RFC 6455) until the client closes."""
        key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key.encode()).digest()).decode())
        self.end_headers()
        self.wfile.flush()
        self.close_connection = True
        while True:
            head = self.rfile.read(2)
            if len(head) < 2 or head[0] & 15 == 8:
                return
            length = head[1] & 127
            mask = self.rfile.read(4)
            text = bytes(byte ^ mask[index % 4] for index, byte in enumerate(self.rfile.read(length)))
            self.wfile.write(bytes([0x81, length]) + text)
            self.wfile.flush()

    def log_message(self, form, *args):
        print(form % args, flush=True)


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 256


server = Server((host.strip("[]"), int(port)), Handler)
print("listening below %s/" % prefix, file=sys.stderr, flush=True)
server.serve_forever()
