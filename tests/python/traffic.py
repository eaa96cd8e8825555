"""Senders and consumers of numbered casts, on libzmq.

    traffic.py send ENDPOINT SENDER TOPIC...     PUSH; for each line N on standard input: N more casts, dealt out to the
                                                 topics in turn; answers "sent". With CURVE_SERVER, CURVE_PUBLIC and
                                                 CURVE_SECRET in the environment it encrypts
    traffic.py consume ENDPOINT TOPIC FILE [S]   PULL; appends (sender, number) of each cast to FILE as it is received, and
                                                 sleeps for S seconds after the first
    traffic.py subscribe ENDPOINT PREFIX         SUB; prints for each message how many milliseconds ago the connection was
                                                 made, and the frames

SENDER is a number. Casts of one sender to one topic are numbered from 0; each number has four octets. PADDING in the
environment is how many octets follow it. FILE is written to without a buffer, so that it tells what a killed consumer had received. All of it runs until it is killed.
"""

import json
import os
import struct
import sys
import time

import zmq
from zmq.utils.monitor import recv_monitor_message

# As long as a small RPC message, unless told otherwise.
PADDING = b'.' * int(os.environ.get('PADDING', '100'))


def cast(topic, sender, number):
    return [b'0', topic, b'cast', struct.pack('>II', sender, number) + PADDING]


def send(endpoint, sender, *topics):
    topics = [topic.encode() for topic in topics]
    socket = zmq.Context.instance().socket(zmq.PUSH)
    if 'CURVE_SERVER' in os.environ:
        socket.curve_serverkey = os.environ['CURVE_SERVER'].encode()
        socket.curve_publickey = os.environ['CURVE_PUBLIC'].encode()
        socket.curve_secretkey = os.environ['CURVE_SECRET'].encode()
    socket.connect(endpoint)
    sent = 0
    for line in sys.stdin:
        for _ in range(int(line)):
            socket.send_multipart(cast(topics[sent % len(topics)], int(sender), sent // len(topics)))
            sent += 1
        print('sent', flush=True)


def consume(endpoint, topic, file, pause='0'):
    topic = topic.encode()
    file = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    socket = zmq.Context.instance().socket(zmq.PULL)
    socket.connect(endpoint)
    while True:
        frames = socket.recv_multipart()
        sender, number = struct.unpack('>II', frames[-1][:8])
        if frames != cast(topic, sender, number):
            raise ValueError(f'not a cast to {topic}: {frames}')
        os.write(file, frames[-1][:8])
        time.sleep(float(pause))
        pause = 0


def subscribe(endpoint, prefix):
    socket = zmq.Context.instance().socket(zmq.SUB)
    monitor = socket.get_monitor_socket(zmq.EVENT_CONNECTED)
    socket.subscribe(prefix)
    socket.connect(endpoint)
    print('subscribed', flush=True)
    monitor.poll()
    connected = time.monotonic()
    recv_monitor_message(monitor)
    while True:
        frames = socket.recv_multipart()
        after = round((time.monotonic() - connected) * 1000)
        print(json.dumps([after, [frame.decode() for frame in frames]]), flush=True)


if __name__ == '__main__':
    {'send': send, 'consume': consume, 'subscribe': subscribe}[sys.argv[1]](*sys.argv[2:])
