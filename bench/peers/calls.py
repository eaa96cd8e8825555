"""The original driver in the benchmark of calls: `calls.py CONFIG serve TOPIC`, `calls.py CONFIG bench TOPIC CALLS AT_A_TIME`.

Needs Python 2.7 with oslo.messaging 1.8.3, pyzmq and eventlet. What `bench` prints is what `zrpc bench --json` prints.
"""

from __future__ import print_function

import eventlet
eventlet.monkey_patch()

import json
import sys
import time

from oslo_config import cfg
import oslo_messaging as messaging


class Endpoint(object):
    def echo(self, context, value):
        return value


def serve(transport, topic):
    target = messaging.Target(topic=topic, server=cfg.CONF.rpc_zmq_host)
    server = messaging.get_rpc_server(transport, target, [Endpoint()], executor='eventlet')
    server.start()
    server.wait()


def bench(transport, topic, calls, at_a_time):
    client = messaging.RPCClient(transport, messaging.Target(topic=topic), timeout=30)
    value = 'x' * 16
    for _ in range(10):
        client.call({}, 'echo', value=value)
    times, left = [], [calls]

    def caller():
        while left[0]:
            left[0] -= 1
            begun = time.time()
            client.call({}, 'echo', value=value)
            times.append(time.time() - begun)

    begun = time.time()
    callers = [eventlet.spawn(caller) for _ in range(at_a_time)]
    for thread in callers:
        thread.wait()
    took = time.time() - begun
    times.sort()

    def percentile(percent):
        return times[min(len(times) * percent // 100, len(times) - 1)] * 1e6

    print(json.dumps([{
        'what': 'calls', 'concurrency': at_a_time, 'count': len(times), 'per_second': len(times) / took,
        'p50_us': percentile(50), 'p99_us': percentile(99),
    }]))


def main(config, verb, topic, *numbers):
    cfg.CONF(['--config-file', config], project='bench')
    transport = messaging.get_transport(cfg.CONF)
    {'serve': serve, 'bench': bench}[verb](transport, topic, *[int(number) for number in numbers])


main(*sys.argv[1:])
