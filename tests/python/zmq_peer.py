"""Sockets of libzmq, driven by JSON lines: one request in, one answer out.

    {"do": "socket", "type": "PULL", "options": {"RCVHWM": 10}}   -> its number, S below; it has a monitor from now on
    {"do": "set", "socket": S, "option": "SUBSCRIBE", "value": "topic"}
    {"do": "authenticate", "username": U, "password": P}          -> from now on servers of PLAIN know this login, and those
                                                                     of CURVE let everyone in
    {"do": "bind", "socket": S, "endpoint": E}                    -> the endpoint, with the port the system chose
    {"do": "connect", "socket": S, "endpoint": E}
    {"do": "close", "socket": S}
    {"do": "events", "socket": S, "until": NAME or null}          -> the monitor's events since last asked, by name;
                                                                     after HANDSHAKE_FAILED_PROTOCOL the reason

    {"do": "send", "socket": S, "messages": [["frame", ...], ...]}
    {"do": "receive", "socket": S, "count": N}                    -> [["frame", ...], ...]
    {"do": "readable", "socket": S, "within": MS}                 -> whether a message can be received
    {"do": "send_random", "socket": S, "shapes": [[SIZE, ...], ...]}   -> the digests of the messages sent
    {"do": "receive_digests", "socket": S, "count": N}            -> the digests of the messages received
    {"do": "send_numbers", "socket": S, "count": N, "padding": SIZE}   -> how many were sent before no peer had room
    {"do": "receive_numbers", "socket": S, "first": N, "count": M}   an error if other messages come

An answer is {"result": ...} or {"error": text}. Text stands for octets, one each (Latin-1). A socket that waits longer
than its RCVTIMEO or SNDTIMEO is an error. First of all the version of libzmq is printed: {"result": "4.3.5"}.
"""

import hashlib
import json
import random
import sys

import zmq
import zmq.auth
from zmq.auth.thread import ThreadAuthenticator
from zmq.utils.monitor import recv_monitor_message

# Half the time in which the test expects an answer, so that libzmq's own error is what it sees.
TIMEOUT = 10_000

REASONS = {getattr(zmq, name): name for name in dir(zmq) if name.startswith('PROTOCOL_ERROR_')}


class Peer:
    """The requests, by name."""

    def __init__(self):
        self.context = zmq.Context()
        self.sockets = []
        self.monitors = []
        self.authenticator = None

    def socket(self, type, options):
        socket = self.context.socket(getattr(zmq, type))
        self.sockets.append(socket)
        self.monitors.append(socket.get_monitor_socket())
        number = len(self.sockets) - 1
        for option, value in {'RCVTIMEO': TIMEOUT, 'SNDTIMEO': TIMEOUT, **options}.items():
            self.set(number, option, value)
        return number

    def authenticate(self, username, password):
        self.authenticator = ThreadAuthenticator(self.context)
        self.authenticator.start()
        self.authenticator.configure_plain(domain='*', passwords={username: password})
        self.authenticator.configure_curve(domain='*', location=zmq.auth.CURVE_ALLOW_ANY)

    def set(self, socket, option, value):
        value = octets(value) if isinstance(value, str) else value
        self.sockets[socket].set(getattr(zmq, option), value)

    def bind(self, socket, endpoint):
        self.sockets[socket].bind(endpoint)
        return self.sockets[socket].get(zmq.LAST_ENDPOINT).rstrip(b'\0').decode()

    def connect(self, socket, endpoint):
        self.sockets[socket].connect(endpoint)

    def close(self, socket):
        # pyzmq names monitors by file descriptors, and the next socket may get this one's
        self.sockets[socket].disable_monitor()
        self.sockets[socket].close()

    def events(self, socket, until):
        monitor = self.monitors[socket]
        events = []
        while monitor.poll(TIMEOUT if until and until not in events else 0):
            event = recv_monitor_message(monitor)
            events.append(event['event'].name)
            if event['event'] == zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL:
                events.append(REASONS[event['value']])
        if until and until not in events:
            raise TimeoutError(f'no {until} after {events}')
        return events

    def send(self, socket, messages):
        for message in messages:
            self.sockets[socket].send_multipart([octets(frame) for frame in message])

    def receive(self, socket, count):
        messages = [self.sockets[socket].recv_multipart() for _ in range(count)]
        return [[frame.decode('latin-1') for frame in message] for message in messages]

    def readable(self, socket, within):
        return bool(self.sockets[socket].poll(within))

    def send_random(self, socket, shapes):
        digests = []
        for sizes in shapes:
            frames = [random.randbytes(size) for size in sizes]
            self.sockets[socket].send_multipart(frames)
            digests.append(digest(frames))
        return digests

    def receive_digests(self, socket, count):
        return [digest(self.sockets[socket].recv_multipart()) for _ in range(count)]

    def send_numbers(self, socket, count, padding):
        padding = bytes(padding)
        for number in range(count):
            try:
                self.sockets[socket].send_multipart([b'%d' % number, padding])
            except zmq.Again:
                return number
        return count

    def receive_numbers(self, socket, first, count):
        for number in range(first, first + count):
            frames = self.sockets[socket].recv_multipart()
            if len(frames) != 2 or frames[0] != b'%d' % number:
                raise ValueError(f'{[frame[:20] for frame in frames]} in place of {number}')


def octets(text):
    return text.encode('latin-1')


def digest(frames):
    """SHA-256 of all frames, each after its length."""
    hash = hashlib.sha256()
    for frame in frames:
        hash.update(len(frame).to_bytes(8, 'big'))
        hash.update(frame)
    return hash.hexdigest()


def say(**answer):
    print(json.dumps(answer), flush=True)


def main():
    peer = Peer()
    say(result=zmq.zmq_version())
    for line in sys.stdin:
        request = json.loads(line)
        try:
            say(result=getattr(peer, request.pop('do'))(**request))
        except Exception as error:
            say(error=f'{type(error).__name__}: {error}')
    if peer.authenticator:
        peer.authenticator.stop()
    # what is unsent may never find a peer
    peer.context.destroy(linger=0)


if __name__ == '__main__':
    main()
