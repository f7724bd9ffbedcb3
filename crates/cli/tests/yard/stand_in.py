#!/usr/bin/env -S python3 -IS
"""Listens as SQLPage and surveilr do. How it behaves is said by a file beside the database: NAME.behaviour."""
import _thread
import os
import signal
import socket
import sys
import time

if os.path.basename(sys.argv[0]) == "surveilr":
    flags = dict(zip(sys.argv[2::2], sys.argv[3::2]))
    host, port, path = flags["--host"], int(flags["--port"]), flags["-d"]
else:
    host, port = os.environ["LISTEN_ON"].rsplit(":", 1)
    host, port, path = host.strip("[]"), int(port), os.environ["DATABASE_URL"][len("sqlite://"):]

try:
    behaviour = open(path + ".behaviour").read().strip()
except OSError:
    behaviour = ""


def spawn(arguments, environment, name):
    """Starts a process in a session of its own and writes its pid beside the database."""
    import subprocess

    away = subprocess.Popen(arguments, start_new_session=True, env=environment)
    open(path + name, "w").write(str(away.pid))


if behaviour == "die":
    print("cannot go on: nothing is right today", file=sys.stderr)
    sys.exit(7)
if behaviour == "hang":
    time.sleep(600)
if behaviour == "deaf":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
else:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
if behaviour == "fork":
    # It leaves the group and forgets the marks.
    spawn(["sleep", "600"], {k: v for k, v in os.environ.items() if not k.startswith("TRUTH_YARD")}, ".forked")
if behaviour == "child":
    # It keeps the marks.
    spawn(["sleep", "600"], os.environ, ".forked")
if behaviour == "daemon" and os.fork():
    os._exit(0)
if behaviour == "daemon":
    os.setsid()
    open(path + ".forked", "w").write(str(os.getpid()))
if behaviour.startswith("talk"):
    # So many lines of 100 bytes.
    for number in range(int(behaviour.split()[1])):
        print(str(number).rjust(99, "."))
    sys.stdout.flush()


def answer(connection):
    connection.settimeout(5)
    request = b""
    try:
        while b"\r\n\r\n" not in request:
            piece = connection.recv(65536)
            if not piece:
                return
            request += piece
        print('"%s" 200 -' % request.split(b"\r\n")[0].decode("latin-1"), flush=True)
        body = ("served " + path).encode()
        head = "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % len(body)
        connection.sendall(head.encode() + body)
    except OSError:
        pass
    finally:
        connection.close()


listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind((host, port))
listener.listen(128)
print("started successfully", file=sys.stderr, flush=True)
while True:
    accepted, _ = listener.accept()
    _thread.start_new_thread(answer, (accepted,))
